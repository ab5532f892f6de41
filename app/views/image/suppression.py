"""Who suppressed whom: the suppressor graph of an image, the NMS IoU to move, and what that does to the
set.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.misses.run import Autopsy
from analysis.misses.suppressor_drawing import suppressor_svg
from analysis.misses.suppressors import Moved, move_nms
from app.files import pictures
from app.viewer.data_parts import drawing
from detector.errors import BoxscopeError


@st.fragment
def section(s: Any, a: Autopsy, i: int, chosen: int | None) -> None:
    """The graph of image i at the NMS IoU of the slider, around the chosen missed object or of the whole
    image.

    Args:
        chosen: place of a missed object among those of the image, or None.
    """
    replay = a.replays[i]
    own = float(replay.settings.iou_threshold)
    with st.expander("Who suppressed whom (NMS)"):
        value = st.slider(
            "NMS IoU",
            0.05,
            0.95,
            round(own, 2),
            0.05,
            key=f"nms-{s.manifest.identity}",
            help=(
                f"A box goes where its IoU with a surer one exceeds this. The detector has {own:.2f}; nothing"
                " stored is changed."
            ),
        )
        moved = move_nms(s.run, a.matches, a.thresholds, i, replay, value)
        row = None if chosen is None else int(s.run.truth_offsets[i]) + chosen
        try:
            content, kind = pictures.picture(s.run, i)
            picture = pictures.publish(content, kind, "suppression")
        except BoxscopeError:
            picture = ""
        drawing(suppressor_svg(s.run, i, moved, picture=picture, chosen=row), key="suppressors")
        st.caption(
            "Blue is kept, grey was ended by the box its line leads to, with their IoU. Dashed green comes"
            " back, dashed pink is missed."
            + (" Boxes near the chosen object are drawn." if chosen is not None else "")
        )
        st.markdown(_words(s, moved, value, own))
        price = next(iter(a.trials.moved("iou_threshold", [value])), None)
        if price is not None and abs(value - own) > 1e-6:
            over = (
                "the whole set"
                if price.whole
                else (
                    f"the {price.images:,} images asked so far"
                    if price.images != 1
                    else "the one image asked so far"
                )
            )
            st.markdown(
                f"Over {over}: {price.gained:+,} object{'s' if abs(price.gained) != 1 else ''},"
                f" {price.wrong:+,} false positive{'s' if abs(price.wrong) != 1 else ''}."
            )
            if not price.whole:
                st.caption(
                    "The Causes on the Mistakes page ask the detector about every image; then this counts the"
                    " whole set."
                )


def _words(s: Any, moved: Moved, value: float, own: float) -> str:
    names = s.run.class_map.names
    if abs(value - own) < 1e-6:
        n = len(moved.graph)
        return (
            f"At {own:.2f}, as the detector has it, NMS removed {n:,} box{'es' if n != 1 else ''} of this"
            " image that pass the threshold."
        )
    told = [
        f"{', '.join(sorted(names[c] for c in s.run.truth.class_ids[rows]))} {what}"
        for rows, what in ((moved.back, "found again"), (moved.gone, "lost"))
        if len(rows)
    ]
    return (
        f"At {value:.2f} here: {'; '.join(told) or 'no object comes or goes'}; {moved.wrong:+,} false"
        " positives."
    )
