"""The frame: navigation, the shared controls, the counts at the operating point. `streamlit run app` opens
it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BRAND = ROOT / "app" / "brand"
if str(ROOT) not in sys.path:
    # `streamlit run app` puts this folder on the path, not the repository's root.
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from app.frame import controls, state  # noqa: E402
from app.frame.components import errors_said, frame_style  # noqa: E402
from app.frame.first_start import make_on_first_start  # noqa: E402
from app.frame.garbage import freeze_modules  # noqa: E402

st.set_page_config(
    page_title="Boxscope",
    page_icon=(BRAND / "icon.svg").read_text(),
    layout="wide",
    initial_sidebar_state=272,
)
st.logo((BRAND / "wordmark.svg").read_text(), size="large", icon_image=(BRAND / "icon.svg").read_text())
frame_style()

# In the order of the work; a page that is not there yet drops in as one line.
PAGES = [
    st.Page(
        "views/gallery/page.py",
        title="Gallery",
        icon=":material/grid_view:",
        default=True,
        url_path="gallery",
        help="Images with their verdicts, worst first.",
    ),
    st.Page(
        "views/image/page.py",
        title="Image",
        icon=":material/frame_inspect:",
        url_path="image",
        help="One image, its boxes and what became of each object.",
    ),
    st.Page(
        "views/mistakes/page.py",
        title="Mistakes",
        icon=":material/rule:",
        url_path="mistakes",
        help="What kinds of mistakes there are, what each costs, and their boxes.",
    ),
    st.Page(
        "views/thresholds/page.py",
        title="Thresholds",
        icon=":material/tune:",
        url_path="thresholds",
        help="Which confidence to keep, for all or each class; calibration; average precision.",
    ),
    st.Page(
        "views/compare/page.py",
        title="Compare",
        icon=":material/compare:",
        url_path="compare",
        help="Two runs, or two settings: which objects are gained and lost.",
    ),
    st.Page(
        "views/data/page.py",
        title="Data",
        icon=":material/dataset:",
        url_path="data",
        help="What is in a data set, what is odd in it, what no anchor reaches.",
    ),
    st.Page(
        "views/detect/page.py",
        title="Detect",
        icon=":material/play_circle:",
        url_path="detect",
        help="Run a detector over pictures; upload your own.",
    ),
    st.Page(
        "views/train/page.py",
        title="Train",
        icon=":material/model_training:",
        url_path="train",
        help="Make a detector from your labelled pictures.",
    ),
    st.Page(
        "views/fiftyone/page.py",
        title="FiftyOne",
        icon=":material/hub:",
        url_path="fiftyone",
        help="Push a run to FiftyOne and open it there.",
    ),
]
page = st.navigation(PAGES, position="top")

chosen = None
with errors_said():
    make_on_first_start()
with errors_said("Choose another run."):
    chosen = controls.sidebar()
st.session_state["_shared"] = chosen if isinstance(chosen, state.Shared) else None
if isinstance(chosen, state.Shared):
    with errors_said():
        controls.strip(chosen)
with errors_said():
    if not controls.shown_in_windows(chosen, page.url_path):
        page.run()
freeze_modules()
