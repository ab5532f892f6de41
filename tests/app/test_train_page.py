"""The Train page: nothing yet, the form's refusals, and trainings in every state."""

from __future__ import annotations

import json

import pytest

from app.jobs import exports, process, trainings
from detector.training.common.folder import TrainFolder
from detector.training.ssd.recipe import TrainRecipe
from tests.app.conftest import component, no_trouble
from tests.app.jobs.test_trainings import voc_folder


def folder_in(home, name: str, state: str, step: int, **more) -> TrainFolder:
    folder = TrainFolder(home / "models" / name)
    folder.path.mkdir(parents=True)
    folder.write_recipe(
        TrainRecipe(
            data=str(home / "drawn"),
            train_split="train",
            val_split="val",
            steps=40,
            architecture="ssd_mobilenet_v2",
        )
    )
    for at in range(10, step + 1, 10):
        folder.append_history(
            {
                "step": at,
                "classification": 1 / at,
                "localization": 0.5,
                "loss": 2.5,
                "regularization": 2.0,
                "learning_rate": 0.01,
                "images_per_second": 8.0,
            }
        )
    folder.write_json(
        "state.json", {"state": state, "step": step, "steps": 40, "best": None, "figures": {}} | more
    )
    return folder


def test_with_nothing_yet_it_asks_for_recipe_and_data(app, tiny_run, boxscope_home):
    at = app("views/train/page.py")
    no_trouble(at)
    assert [h.value for h in at.subheader][:2] == ["1 · Recipe", "2 · Data"]
    assert next(b for b in at.button if "Start training" in b.label).disabled
    at.segmented_control(key="train_view").set_value("Sweeps").run()
    no_trouble(at)
    assert any("No sweep yet" in m.value for m in at.markdown)
    at.segmented_control(key="train_view").set_value("Trainings").run()
    assert any("No training yet" in m.value for m in at.markdown)


def test_the_recipe_s_checks_are_applied_at_once(app, tiny_run, boxscope_home, monkeypatch):
    voc_folder(boxscope_home / "drawn")
    at = app("views/train/page.py")
    at.selectbox(key="recipe").set_value("demo").run()
    key = next(t.key for t in at.text_input if t.key.endswith("-data"))
    at.text_input(key=key).set_value("/etc").run()
    assert not at.exception and "outside the folders" in at.error[0].value
    at.text_input(key=key).set_value("drawn").run()
    for wanted, name in (("train_split", "train"), ("val_split", "val")):
        box = next(s for s in at.selectbox if f"-{wanted}-" in (s.key or ""))
        box.set_value(name)
    at.run()
    no_trouble(at)
    assert any("3 images with 6 objects of 3 classes to train on" in h.value for h in at.html)
    begin = next(b for b in at.button if "Start training" in b.label)
    assert not begin.disabled
    steps = next(n for n in at.number_input if n.key.endswith("-steps"))
    at.number_input(key=steps.key).set_value(0).run()
    assert at.error[0].value == "steps: expected at least 1, got 0."
    assert next(b for b in at.button if "Start training" in b.label).disabled
    at.number_input(key=steps.key).set_value(400).run()
    others = next(t for t in at.text_area if t.key.endswith("-others"))
    at.text_area(key=others.key).set_value("momentun: 0.5").run()
    assert "did you mean 'momentum'" in at.error[0].value
    at.text_area(key=others.key).set_value("momentum: 0.5").run()
    no_trouble(at)
    asked = []
    monkeypatch.setattr(
        trainings,
        "start",
        lambda recipe, stem: asked.append((recipe, stem)) or boxscope_home / "models" / stem,
    )
    next(b for b in at.button if "Start training" in b.label).click().run()
    [(recipe, stem)] = asked
    assert (recipe.steps, recipe.momentum, recipe.train_split, recipe.val_split, stem) == (
        400,
        0.5,
        "train",
        "val",
        "demo",
    )
    assert recipe.data == str((boxscope_home / "drawn").resolve())


@pytest.mark.parametrize(
    "state, words, button",
    [
        ("stopped", "stopped · step 20 of 40", "Resume"),
        ("running", "cut off · step 20 of 40", "Resume"),
        ("done", "done · step 40 of 40", None),
        ("failed", "failed · step 20 of 40", "Resume"),
    ],
)
def test_a_training_in_every_state(app, tiny_run, boxscope_home, state, words, button):
    voc_folder(boxscope_home / "drawn")
    more = (
        {"error": "expected a finite loss, at step 21 of 40 it is nan; the batch held 1.png."}
        if state == "failed"
        else {}
    )
    if state == "done":
        more = {"best": {"figure": "AP", "value": 0.25, "step": 20}, "figures": {"AP": 0.125, "AP50": 0.5}}
    folder = folder_in(boxscope_home, "mine", state, 40 if state == "done" else 20, **more)
    if state == "done":
        place = folder.path / "exports"
        written = str(place / "float16" / "mine-float16.tflite")
        done = exports.Export(folder=place / "float16", form="float16", stage="done", file=written).save()
        (done.folder / "mine-float16.tflite").write_bytes(b"0" * 2**20)
        exports.Export(
            folder=place / "int8", form="int8", stage="failed", error="int8: expected pictures."
        ).save()
    at = app("views/train/page.py")
    assert not at.exception
    texts = [p.proto.text for p in at.get("progress")] + [
        getattr(p, "value", "") for p in at.get("progress") if not hasattr(p, "proto")
    ]
    assert any(words in text for text in texts), texts
    assert [b.label for b in at.button if b.label in ("Resume", "Stop")] == ([button] if button else [])
    assert [p["title"] for p in component(at, "lines")["panels"]][0] == "Loss"
    if state == "failed":
        assert at.error[0].value == more["error"]
    else:
        assert [e.value for e in at.error] == (
            ["TFLite int8: int8: expected pictures."] if state == "done" else []
        )
    if state == "done":
        assert "AP 0.250" in texts[0] and "best at step 20" in texts[0]
        assert any("TFLite float16 · 1.0 MB" in m.value for m in at.markdown)
        assert [b.label for b in at.button if b.label == "Run it on them"] and at.get("download_button")


def one_object_each(folder):
    """A CSV of eight pictures with one object each, four of a class."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for i in range(8):
        image = np.full((40, 60, 3), 90, np.uint8)
        image[10:30, 5 + i : 35 + i] = (220, 40, 40) if i % 2 else (40, 40, 220)
        Image.fromarray(image).save(folder / f"{i}.png")
        lines.append(f"{i}.png,60,40,{'red' if i % 2 else 'blue'},{5 + i},10,{35 + i},30")
    (folder / "objects.csv").write_text("\n".join(lines) + "\n")
    return folder / "objects.csv"


def test_a_sweep_is_set_up_and_started(app, tiny_run, boxscope_home, monkeypatch):
    from detector.sweep.recipe import load_sweep

    data, spawned = one_object_each(boxscope_home / "cars"), []
    monkeypatch.setattr(process, "spawn", lambda target, folder: spawned.append((target, folder)))
    at = app("views/train/page.py")
    at.segmented_control(key="train_view").set_value("Sweeps").run()
    next(b for b in at.button if b.label == "Set one up").click().run()
    no_trouble(at)
    start = next(b for b in at.button if b.label == "Start the sweep")
    assert start.disabled
    at.text_input(key="sweep-data").set_value("/etc/passwd").run()
    assert "outside the folders" in at.error[0].value
    at.text_input(key="sweep-data").set_value(str(data)).run()
    at.text_input(key="sweep-start").set_value("none").run()
    assert not at.error and any(
        "5 pictures of one object, 2 classes, to train on" in h.value for h in at.html
    )
    text = at.text_area(key="sweep-text").value
    at.text_area(key="sweep-text").set_value(text.replace("dropout", "droput")).run()
    assert (
        "droput" in at.error[0].value and next(b for b in at.button if b.label == "Start the sweep").disabled
    )
    at.text_area(key="sweep-text").set_value(text + "  start: [a.h5, b.h5]\n").run()
    assert "start cannot be searched from the page" in at.error[0].value
    at.text_area(key="sweep-text").set_value(text).run()
    at.number_input(key="sweep-trials").set_value(3).run()
    at.text_input(key="sweep-name").set_value("My cars").run()
    next(b for b in at.button if b.label == "Start the sweep").click().run()
    folder = boxscope_home / "sweeps" / "my_cars"
    assert spawned == [("app.jobs.sweeps:SweepJob", folder)]
    sweep = load_sweep(folder / "sweep.yaml")
    assert (
        (sweep.name, sweep.trials) == ("My cars", 3)
        and sweep.base().data == str(data)
        and sweep.base().start == "none"
    )
    assert any("**My cars** · 0 of 3 trials" in p.proto.text for p in at.get("progress"))


def test_a_sweep_s_trials(app, tiny_run, boxscope_home, tmp_path, monkeypatch):
    import detector.sweep.run
    from detector.sweep.recipe import load_sweep
    from detector.sweep.run import run_sweep
    from tests.detector.drawn_training import pretend
    from tests.detector.sweep.test_state import SEARCH, written

    monkeypatch.setattr(detector.sweep.run, "train_two_head", pretend(0))
    run_sweep(
        load_sweep(written(tmp_path, f"name: Heads\ntrials: 3\n{SEARCH}")), boxscope_home / "sweeps" / "heads"
    )
    at = app("views/train/page.py")
    at.segmented_control(key="train_view").set_value("Sweeps").run()
    no_trouble(at)
    assert any("**Heads** · 3 of 3 trials · done · best: trial" in p.proto.text for p in at.get("progress"))
    assert list(at.dataframe[0].value["trial"]) != [] and {"backbone", "dropout", "input_size"} <= set(
        at.dataframe[0].value.columns
    )
    assert not [b for b in at.button if b.label in ("Stop", "Resume")]
    assert json.loads(at.get("bidi_component")[-1].proto.json)["x_name"] in ("trial", "step")
