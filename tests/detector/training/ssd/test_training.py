"""Training: learns drawn pictures, goes on after a kill as if nothing had been, and refuses with a reason."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detector.catalogue import load_detector
from detector.core import ClassMap
from detector.data.formats.coco import write_coco
from detector.errors import ConfigError, DataError, ModelError, RunError
from detector.labels import read_labels
from detector.models.trained_ssd import is_trained, load_trained
from detector.paths import ROOT
from detector.ssd.stored import read_ssd
from detector.ssd.weights import load_arrays
from detector.training.common.folder import TrainFolder
from detector.training.ssd.recipe import TrainRecipe
from detector.training.ssd.recipe_pipeline import recipe_from_pipeline
from detector.training.ssd.training import load_splits, train
from tests.detector import kill_training
from tests.detector.nearly import nearly
from tests.detector.ssd.drawn import CLASSES, SCENES, drawn_dataset

QUICK = kill_training.RECIPE


def average_precision_50(detector, dataset) -> float:
    """AP at IoU 0.5, by hotcoco on what the detector says."""
    from hotcoco import COCO, COCOeval

    truth = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(dataset.class_map.names)],
    }
    found = []
    for i, detections in enumerate(detector.detect([dataset.load_image(i) for i in range(len(dataset))])):
        truth["images"].append(
            {
                "id": i + 1,
                "width": detections.image_size[0],
                "height": detections.image_size[1],
                "file_name": "",
            }
        )
        for box, class_id in zip(dataset.annotations(i).xyxy, dataset.annotations(i).class_ids):
            x1, y1, x2, y2 = map(float, box)
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": i + 1,
                    "category_id": int(class_id) + 1,
                    "iscrowd": 0,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                }
            )
        for box, score, class_id in zip(detections.xyxy, detections.scores, detections.class_ids):
            x1, y1, x2, y2 = map(float, box)
            found.append(
                {
                    "image_id": i + 1,
                    "category_id": int(class_id) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                }
            )
    coco = COCO(truth)
    evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[1])


OVERFIT = {
    "ssd_mobilenet_v2_fpnlite": {"steps": 160, "input_size": (128, 128), "alpha": 0.35, "learning_rate": 0.1},
    "ssd_mobilenet_v2": {"steps": 250, "input_size": (160, 160), "alpha": 0.5, "learning_rate": 0.05},
    "ssd_resnet50_v1_fpn": {"steps": 300, "input_size": (160, 160), "alpha": 0.25, "learning_rate": 0.04},
}


@pytest.mark.parametrize(
    "architecture",
    [
        "ssd_mobilenet_v2_fpnlite",
        pytest.param("ssd_mobilenet_v2", marks=pytest.mark.slow),
        pytest.param("ssd_resnet50_v1_fpn", marks=pytest.mark.slow),
    ],
)
def test_learns_four_pictures_from_scratch(architecture, tmp_path):
    dataset, seen, figures = drawn_dataset(), [], []
    # No decay and quick statistics: four pictures are to be learnt by heart.
    recipe = TrainRecipe(
        architecture=architecture,
        batch_size=4,
        augment=(),
        l2=0.0,
        batch_norm_decay=0.9,
        **OVERFIT[architecture],
    )
    recipe = recipe.with_(evaluate_every=recipe.steps)

    def validate(detector, held_out):
        figures.append(average_precision_50(detector, held_out))
        return {"AP50": figures[-1]}

    out = train(
        recipe, tmp_path / "run", dataset=dataset, validation=dataset, progress=seen.append, validate=validate
    )

    seen = [p for p in seen if not p.phase]
    assert [p.step for p in seen] == list(range(1, recipe.steps + 1))
    assert seen[-1].loss < 0.35 * seen[0].loss
    for p in seen[::50]:
        assert p.loss == pytest.approx(p.classification + p.localization + p.regularization, rel=1e-5)
    assert seen[0].learning_rate == pytest.approx(recipe.learning_rate / 3)
    assert seen[-1].seconds_left == 0
    assert figures == [pytest.approx(1.0, abs=0.02)]

    detector = load_trained(out, runtime="keras")
    assert average_precision_50(detector, dataset) == pytest.approx(figures[0], abs=1e-3)
    assert detector.info.class_map.names == CLASSES.names and detector.info.class_map.external_ids == (
        1,
        2,
        3,
    )
    assert detector.info.input_size == recipe.input_size
    assert "the best by AP50 (1)" in detector.info.notes[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A short undisturbed training, and beside it ("killed") the same one killed after its 8th step."""
    root = tmp_path_factory.mktemp("train")
    killed = subprocess.Popen(
        [sys.executable, "-m", "tests.detector.kill_training", str(root / "killed"), "8"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        dataset, validation = kill_training.datasets()
        train(QUICK, root / "whole", dataset=dataset, validation=validation)
        said, _ = killed.communicate(timeout=300)
    finally:
        killed.kill()
    assert killed.returncode == -9, said
    return root / "whole"


def figures_of(folder: Path) -> list[dict]:
    """The history without clocks."""
    timed = ("time", "images_per_second")
    return [{k: v for k, v in line.items() if k not in timed} for line in TrainFolder(folder).history()]


def test_resumed_after_a_kill_it_ends_with_the_same_weights(finished):
    killed = finished.parent / "killed"
    arrays, meta = TrainFolder(killed).load_checkpoint()
    assert meta["step"] == 6  # of the checkpoints at 3, 4 and 6; steps 7 and 8 are lost
    state = json.loads((killed / "state.json").read_text())
    assert (state["state"], state["step"]) == ("running", 6)

    dataset, validation = kill_training.datasets()
    seen = []
    train(QUICK, killed, dataset=dataset, validation=validation, progress=seen.append, resume=True)
    assert [p.step for p in seen] == [7, 8, 9, 10]
    for name in ("weights.npz", "last.npz"):
        (a, meta_a), (b, meta_b) = load_arrays(finished / name), load_arrays(killed / name)
        assert meta_a == nearly(meta_b)
        assert a.keys() == b.keys() and len(a) > 300
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-5, err_msg=key)
    assert figures_of(finished) == nearly(figures_of(killed))


def test_the_folder_holds_all_it_takes_to_run_it_again(finished):
    folder = TrainFolder(finished)
    assert folder.read_recipe(TrainRecipe) == QUICK
    assert is_trained(finished)
    assert (
        load_detector(finished, runtime="keras").info.weights_hash == load_trained(finished).info.weights_hash
    )
    start = folder.read_json("start.json")
    assert (start["images"], start["objects"], start["recipe_hash"]) == (4, 9, QUICK.hash)
    assert start["fingerprints"]["data"] == drawn_dataset().fingerprint
    assert start["start"] == {"source": "none", "restored": 0, "fresh": 324}
    assert folder.read_json("state.json")["state"] == "done"
    stored = read_ssd(finished)
    config, classes = stored.config, stored.classes
    assert config == QUICK.network(3)
    assert classes.external_ids == (1, 2, 3)
    assert read_labels(finished / "label_map.pbtxt") == classes
    steps = [line["step"] for line in folder.history()]
    assert steps == [4, 8, 10, 10]  # evaluations at 4, 8 and the end; the loss every ten steps
    losses = [line["figures"]["validation loss"] for line in folder.history() if "figures" in line]
    best = folder.read_json("state.json")["best"]
    assert best["value"] == pytest.approx(min(losses), rel=1e-5)


def test_a_training_that_is_done_is_not_trained_again(finished):
    before = (finished / "last.npz").stat().st_mtime_ns
    assert train(QUICK, finished, dataset=drawn_dataset(), resume=True) == finished
    assert (finished / "last.npz").stat().st_mtime_ns == before


def test_a_folder_is_not_overwritten_and_another_recipe_not_resumed(finished, tmp_path):
    with pytest.raises(RunError, match="lies here already"):
        train(QUICK, finished, dataset=drawn_dataset())
    with pytest.raises(RunError, match="expected the recipe this training was started with"):
        train(QUICK.with_(seed=6), finished, dataset=drawn_dataset(), resume=True)
    with pytest.raises(RunError, match="no training was started here"):
        train(QUICK, tmp_path / "nothing", dataset=drawn_dataset(), resume=True)


@pytest.mark.parametrize(
    "dataset, words",
    [
        (drawn_dataset(((), ())), "expected boxes to train on"),
        (drawn_dataset(objects=None), "none of the 4 images has an annotation"),
    ],
)
def test_data_that_make_no_sense_are_refused_and_the_folder_says_so(dataset, words, tmp_path):
    with pytest.raises(DataError, match=words):
        train(QUICK, tmp_path / "run", dataset=dataset)
    state = TrainFolder(tmp_path / "run").read_json("state.json")
    assert (state["state"], state["step"], state["steps"]) == ("failed", 0, 10) and words in state["error"]
    assert not TrainFolder(
        tmp_path / "run"
    ).started  # with other data it can be tried again in the same folder


def test_a_refusal_on_the_way_back_keeps_what_was_reached(finished, tmp_path):
    folder = TrainFolder(shutil.copytree(finished, tmp_path / "run"))
    folder.write_json("state.json", {"state": "running", "step": 6, "steps": 10, "best": None})
    with pytest.raises(DataError, match="expected boxes to train on"):
        train(QUICK, folder.path, dataset=drawn_dataset(((), ())), resume=True)
    state = folder.read_json("state.json")
    assert (state["state"], state["step"]) == ("failed", 6) and "expected boxes" in state["error"]


def test_a_number_of_classes_that_is_not_the_data_s_is_refused(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"num_classes: expected the data's number of classes, 3 \(box, disc, wedge\), got 90",
    ):
        train(QUICK.with_(num_classes=90), tmp_path / "run", dataset=drawn_dataset())
    assert TrainFolder(tmp_path / "run").read_json("state.json")["state"] == "failed"


def test_the_folder_s_pipeline_config_is_the_network_and_the_training(finished):
    again = recipe_from_pipeline(finished / "pipeline.config")
    assert again.network(3) == QUICK.network(3).with_(name=finished.name)
    assert again.schedule() == QUICK.schedule()
    assert (again.num_classes, again.batch_size, again.steps, again.start) == (3, 3, 10, "none")
    assert again.augmentations == QUICK.augmentations and again.label_map == str(finished / "label_map.pbtxt")
    assert TrainFolder(finished).read_json("start.json")["pipeline_config"] == "written"


def test_splits_with_the_classes_of_a_label_map(tmp_path):
    for name, scenes in (("all", SCENES), ("held out", SCENES[:1])):
        write_coco(drawn_dataset(scenes, name=name), tmp_path / name)
    (tmp_path / "map.pbtxt").write_text(
        "item { id: 1 name: 'wedge' }\nitem { id: 2 name: 'disc' }\nitem { id: 3 name: 'box' }\n"
    )
    recipe = QUICK.with_(
        data=str(tmp_path / "all"), val_data=str(tmp_path / "held out"), label_map=str(tmp_path / "map.pbtxt")
    )
    chosen, held_out, _ = load_splits(recipe)
    assert chosen.class_map.names == held_out.class_map.names == ("wedge", "disc", "box")
    assert chosen.objects.class_ids.tolist() == [2 - o[0] for scene in SCENES for o in scene]
    assert held_out.objects.class_ids.tolist() == [2, 1]
    (tmp_path / "map.pbtxt").write_text("item { id: 1 name: 'box' }\nitem { id: 2 name: 'disc' }\n")
    with pytest.raises(DataError, match="expected objects of the classes box, disc, .* also has wedge"):
        load_splits(recipe)
    (tmp_path / "map.pbtxt").write_text("item { id: 1 name: 'box' }\nitem { id: 5 name: 'disc' }\n")
    with pytest.raises(DataError, match=r"expected ids 1 to 2 to train on, got \[1, 5\]"):
        load_splits(recipe)


def test_other_classes_to_validate_on_are_refused(tmp_path):
    other = drawn_dataset(class_map=ClassMap(("a", "b", "c")))
    with pytest.raises(DataError, match=r"same classes.*\['box', 'disc', 'wedge'\] and \['a', 'b', 'c'\]"):
        train(QUICK, tmp_path / "run", dataset=drawn_dataset(), validation=other)


def test_several_devices_need_jax(tmp_path):
    with pytest.raises(ConfigError, match="KERAS_BACKEND=jax"):
        train(QUICK.with_(devices=3), tmp_path / "run", dataset=drawn_dataset())


def test_a_broken_loss_is_refused_with_batch_and_files(finished, tmp_path):
    folder = TrainFolder(shutil.copytree(finished, tmp_path / "run"))
    arrays, meta = folder.load_checkpoint()
    bias = next(k for k in arrays if "class_predictions_with_background" in k and "/bias/" in k)
    folder.save_checkpoint(arrays | {bias: np.full_like(arrays[bias], np.nan)}, meta | {"step": 6})
    folder.write_json("state.json", {"state": "running"})
    dataset, validation = kill_training.datasets()
    with pytest.raises(ModelError, match=r"at step 6 of 10 .* the batch held drawn \d, drawn \d, drawn \d\."):
        train(QUICK, folder.path, dataset=dataset, validation=validation, resume=True)
    state = folder.read_json("state.json")
    assert state["state"] == "failed" and "finite" in state["error"]
    assert folder.load_checkpoint()[1]["step"] == 6


def test_stopped_it_keeps_its_checkpoint(tmp_path):
    out = train(
        QUICK.with_(start="none"), tmp_path / "run", dataset=drawn_dataset(), should_stop=lambda: True
    )
    folder = TrainFolder(out)
    assert folder.read_json("state.json")["state"] == "stopped"
    assert folder.load_checkpoint()[1]["step"] == 1
    assert not is_trained(out)
