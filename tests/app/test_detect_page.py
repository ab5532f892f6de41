"""The Detect page: an upload becomes a run, a path outside is a sentence, problems are shown."""

from __future__ import annotations

from app.model.process import model_process
from tests.app.conftest import component, no_trouble


def test_a_path_outside_the_roots_is_one_sentence(app, tiny_run):
    at = app("views/detect/page.py")
    at.segmented_control(key="source").set_value("On this machine").run()
    for path in ("/etc", "../../..", "/etc/passwd"):
        at.text_input(key="path").set_value(path).run()
        assert not at.exception and len(at.error) == 1 and "outside the folders" in at.error[0].value
        assert all(b.disabled for b in at.button if "Run the detector" in b.label)


def test_a_model_path_outside_is_refused_too(app, tiny_run):
    at = app("views/detect/page.py")
    at.selectbox(key="detector").set_value("path").run()
    at.text_input(key="model_path").set_value("/bin/true").run()
    assert not at.exception and "outside the folders" in at.error[0].value


def test_a_data_set_is_described_with_its_problems(app, tiny_run, pictures):
    (pictures / "images" / "d.png").unlink()
    at = app("views/detect/page.py")
    at.segmented_control(key="source").set_value("On this machine").run()
    at.text_input(key="path").set_value("pictures/instances.json").run()
    no_trouble(at)
    assert any("4 objects · 2 classes" in h.value for h in at.html)
    assert any("problem" in e.label for e in at.expander)


def test_uploaded_pictures_become_a_run(app, tiny_run, pictures):
    at = app("views/detect/page.py")
    files = [(p.name, p.read_bytes(), "image/png") for p in sorted((pictures / "images").iterdir())]
    text = (pictures / "instances.json").read_text().replace("images/", "")
    at.file_uploader(key="upload").set_value(
        [*files, ("instances.json", text.encode(), "application/json")]
    ).run()
    no_trouble(at)
    assert any("4 labelled · 4 objects" in h.value for h in at.html)
    at.selectbox(key="detector").set_value("simulated").run()
    try:
        next(b for b in at.button if "Run the detector" in b.label).click().run()
        no_trouble(at)
        assert len(component(at, "grid")["tiles"]) == 4
        assert component(at, "strip")["tag"] == "simulated"
        assert at.session_state["run"] != "tiny"
        at.switch_page("views/image/page.py").run()
        at.session_state["heat_on"] = True
        at.run()
        no_trouble(at)
        assert "candidates before NMS" in component(at, "viewer")["heat"]["title"]
    finally:
        model_process().stop()


def test_a_picture_that_is_none_is_named(app, tiny_run):
    at = app("views/detect/page.py")
    at.file_uploader(key="upload").set_value([("x.jpg", b"no picture", "image/jpeg")]).run()
    assert not at.exception
    assert at.error or any("problem" in e.label for e in at.expander)
