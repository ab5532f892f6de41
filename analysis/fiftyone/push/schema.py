"""What FiftyOne shows: declared fields with a sentence each, named sidebar groups, our colours, saved
views.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.drawing.style import STROKES, object_stroke
from analysis.fiftyone.fields import FLAG_FIELDS, LINK, SAMPLE_ID, SOURCE, SPLIT, TRUTH, Names
from analysis.fiftyone.push.verdicts import COUNTED_DETECTIONS, COUNTED_OBJECTS, Judged
from analysis.mistakes.errors import SENTENCES
from analysis.runs.store import Run
from analysis.saliency.methods import EVIDENCE_METHODS, TITLES


def declare(
    dataset: Any,
    run: Run,
    judged: Judged,
    names: Names,
    *,
    copies: bool = False,
    heatmaps: bool = False,
    evidence: tuple[str, ...] = (),
) -> None:
    """Tell FiftyOne the fields in one step; those that exist are left as they are."""
    import fiftyone as fo

    key, gt, pred = names.eval_key, f"{TRUTH}.detections", f"{names.predictions}.detections"
    text, number, whole = fo.StringField, fo.FloatField, fo.IntField
    schema: dict[str, Any] = {
        "metadata": fo.EmbeddedDocumentField(
            fo.ImageMetadata, description="Size of the upright image and its file."
        ),
        SAMPLE_ID: text(description="The image's id in the data set."),
        LINK: text(description="This image in Boxscope."),
        TRUTH: fo.EmbeddedDocumentField(fo.Detections, description="Ground truth."),
        names.predictions: fo.EmbeddedDocumentField(
            fo.Detections, description=f"Detections of {run.manifest.name}."
        ),
        f"{key}_tp": whole(description="Correct detections (true positives)."),
        f"{key}_fp": whole(description="Wrong detections (false positives), duplicates among them."),
        f"{key}_fn": whole(description="Missed objects (false negatives)."),
        f"{pred}.verdict": text(
            description="correct, wrong, duplicate, ignored, unjudged, or below the threshold."
        ),
        f"{pred}.iou": number(
            description="IoU with the object it was matched to, or that was already taken."
        ),
        f"{pred}.error": text(
            description="Kind of mistake: classification, localisation, both, duplicate, background."
        ),
        f"{pred}.confused_with": text(
            description="For a classification mistake: the class of the object it lies on."
        ),
        f"{gt}.{names.truth_verdict}": text(description="found, missed, ignored or unjudged."),
        f"{gt}.{names.truth_error}": text(
            description="For a missed object: missed, or the kind of the mistake that stands on it."
        ),
        f"{gt}.{names.seen_at}": number(
            description="Confidence of the detection that fits it, also below the threshold."
        ),
    }
    for path in (gt, pred):
        schema[f"{path}.size"] = text(
            description="small, medium or large by COCO's bounds of 32² and 96² pixels."
        )
        schema[f"{path}.object_id"] = whole(
            description="Its number in Boxscope: of the annotation, or of the detection within its image."
        )
        schema[f"{path}.link"] = text(description="This object in Boxscope.")
        schema[f"{path}.{key}"] = text(description="tp, fp or fn at the evaluation's operating point.")
        schema[f"{path}.{key}_id"] = text(description="The matched label.")
        schema[f"{path}.{key}_iou"] = number(description="IoU with the matched label.")
    if any(run.splits):
        schema[SPLIT] = text(description="The split it belongs to (train, val, test).")
    if copies:
        schema[SOURCE] = text(description="The original file, where FiftyOne is shown an upright copy.")
    if run.failed or not run.done.all():
        schema[names.problem] = text(description="Why there are no detections for this image.")
    if heatmaps:
        schema[names.confidence_map] = fo.EmbeddedDocumentField(
            fo.Heatmap,
            description=f"Where {run.manifest.name} believes any object is; 0 to 1, not stretched.",
        )
        schema[names.missed_map] = fo.EmbeddedDocumentField(
            fo.Heatmap, description="The same for the classes of the image's missed objects only."
        )
    for method in evidence:
        schema[names.evidence_map(method)] = fo.EmbeddedDocumentField(
            fo.Heatmap,
            description=(
                f"What in the image speaks for the explained objects, by {TITLES[method]}; 0 to each one's"
                " peak."
            ),
        )
    for flag, name in FLAG_FIELDS.items():
        if getattr(run.truth, flag).any():
            schema[f"{gt}.{name}"] = fo.BooleanField(description=f"The annotation is flagged {flag}.")
    for path, columns, rename in (
        (pred, judged.det_columns, str),
        (gt, judged.truth_columns, names.of_truth),
    ):
        for name, values in columns.items():
            schema[f"{path}.{rename(name)}"] = _field_for(values, fo)()
    parents = {k: v for k, v in schema.items() if "." not in k}
    dataset._sample_doc_cls.merge_field_schema(parents)
    dataset._sample_doc_cls.merge_field_schema({k: v for k, v in schema.items() if "." in k})
    dataset.reload()


def _field_for(values: np.ndarray, fo: Any) -> Any:
    kind = values.dtype.kind
    if kind == "O":
        first = next((v for v in values if v is not None and v == v), "")
        kind = np.asarray(first).dtype.kind
    return {"b": fo.BooleanField, "i": fo.IntField, "u": fo.IntField, "f": fo.FloatField}.get(
        kind, fo.StringField
    )


def arrange(dataset: Any, all_names: list[Names], words: str) -> None:
    """Sidebar groups that a newcomer finds, and verdicts in the colours of every other page."""
    import fiftyone as fo

    maps = [
        field
        for n in all_names
        for field in (n.confidence_map, n.missed_map, *map(n.evidence_map, EVIDENCE_METHODS))
    ]
    groups = [
        ("labels", [TRUTH, *(n.predictions for n in all_names)], True),
        ("heat maps", maps, True),
        ("tags", ["tags", "_label_tags"], True),
    ]
    for n in all_names:
        title = f"correct, wrong, missed{f' ({n.predictions})' if n.suffix else ''}"
        groups.append((title, [f"{n.eval_key}_tp", f"{n.eval_key}_fp", f"{n.eval_key}_fn"], True))
    groups += [
        ("Boxscope", [SAMPLE_ID, SPLIT, LINK, SOURCE, *(n.problem for n in all_names)], True),
        (
            "metadata",
            [f"metadata.{f}" for f in ("width", "height", "size_bytes", "mime_type", "num_channels")],
            False,
        ),
    ]
    known = list(dataset.get_field_schema(flat=False))
    there = {*known, "_label_tags", *(path for path in groups[-1][1])}
    groups = [
        (name, kept, expanded)
        for name, paths, expanded in groups
        if (kept := [path for path in paths if path in there]) or name != "heat maps"
    ]
    ours = {path for _, paths, _ in groups for path in paths}
    rest = [
        p
        for p in ["id", "filepath", "created_at", "last_modified_at", *known]
        if p not in ours and p != "metadata"
    ]
    groups.append(("other", list(dict.fromkeys(rest)), False))
    if there.intersection(maps):  # shown when ticked: over every thumbnail they would hide the boxes
        dataset.app_config.active_fields = fo.ActiveFields(
            paths=[TRUTH, *(n.predictions for n in all_names)], exclude=False
        )
    dataset.app_config.sidebar_groups = [
        fo.SidebarGroupDocument(name=n, paths=p, expanded=e) for n, p, e in groups
    ]

    def colours(path: str, attribute: str, pairs: list[tuple[str, str]], field: str) -> dict[str, Any]:
        return {
            "path": path,
            "fieldColor": field,
            "colorByAttribute": attribute,
            "valueColors": [{"value": v, "color": c} for v, c in pairs],
        }

    detections = [
        (v, STROKES[v].colour) for v in ("correct", "wrong", "duplicate", "ignored", "unjudged", "below")
    ]
    objects = [(v, object_stroke(v).colour) for v in ("found", "missed", "ignored", "unjudged")]
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="value",
        default_colorscale={"name": "viridis", "list": None},
        fields=[
            colours(TRUTH, all_names[0].truth_verdict, objects, STROKES["missed"].colour),
            *(colours(n.predictions, "verdict", detections, STROKES["correct"].colour) for n in all_names),
        ],
    )
    dataset.description = f"Pushed by Boxscope. {words}"
    dataset.save()


def counted_view(dataset: Any, judged: Judged, names: Names) -> Any:
    """What the evaluation counts: detections at or above the threshold and objects that can be found or
    missed.

    The data set itself where that leaves nothing out.
    """
    from fiftyone import ViewField as F

    view = dataset
    if not np.isin(judged.truth_verdict, COUNTED_OBJECTS).all():
        view = view.filter_labels(
            TRUTH, F(names.truth_verdict).is_in(list(COUNTED_OBJECTS)), only_matches=False
        )
    if not np.isin(judged.det_verdict, COUNTED_DETECTIONS).all():
        view = view.filter_labels(
            names.predictions, F("verdict").is_in(list(COUNTED_DETECTIONS)), only_matches=False
        )
    return view


def save_views(dataset: Any, judged: Judged, names: Names, *, near: float = 0.15) -> list[str]:
    """The saved views of a run; returns their names. Views of the same name are replaced."""
    from fiftyone import ViewField as F

    gt, pred, verdict = TRUTH, names.predictions, names.truth_verdict
    shown = F("verdict").is_in([*COUNTED_DETECTIONS, "ignored", "unjudged"])
    above = dataset.filter_labels(pred, shown, only_matches=False)

    def of(kind: str) -> Any:
        return dataset.filter_labels(pred, F("error") == kind)

    top = float(judged.thresholds.max(initial=0.5))
    views = {
        "Missed": (
            above.filter_labels(gt, F(verdict) == "missed"),
            "missed",
            "Objects that no detection found (false negatives).",
        ),
        "Wrong": (
            dataset.filter_labels(pred, F("verdict").is_in(["wrong", "duplicate"])),
            "wrong",
            "Detections on nothing, on another class or beside the object, and duplicates (false positives).",
        ),
        "Confusions": (of("classification"), "wrong", SENTENCES["classification"]),
        "Badly placed": (of("localisation"), "wrong", SENTENCES["localisation"]),
        "Badly placed and misnamed": (of("both"), "wrong", SENTENCES["both"]),
        "On nothing": (of("background"), "wrong", SENTENCES["background"]),
        "Duplicates": (of("duplicate"), "duplicate", SENTENCES["duplicate"]),
        "Just above the threshold": (
            dataset.filter_labels(pred, shown & (F("confidence") < min(top + near, 1.0))),
            "unjudged",
            f"Detections that count with less than {min(top + near, 1.0):.2f} confidence.",
        ),
        "Missed but seen": (
            dataset.filter_labels(gt, (F(verdict) == "missed") & (F(names.seen_at) > 0)),
            "missed",
            (
                "Missed objects with a fitting detection below the threshold; `seen_at` says at which"
                " confidence."
            ),
        ),
        "Mistakes as patches": (
            dataset.to_evaluation_patches(names.eval_key).match(F("type").is_in(["fp", "fn"])),
            "missed",
            "Every mistake cut out, one a tile. Tags set here stay on the patch's label, not on its image.",
        ),
        "Above the threshold": (above, "correct", "Only the detections that count at the operating point."),
    }
    saved = []
    for name, (view, stroke, text) in views.items():
        name = name + names.suffix.replace("_", " ")
        dataset.save_view(
            name, view, description=f"{text} {judged.words}", color=STROKES[stroke].colour, overwrite=True
        )
        saved.append(name)
    return saved


EVALUATION_WORKSPACE = "Model evaluation"


def save_workspace(dataset: Any) -> None:
    """A workspace with the samples and the Model Evaluation panel side by side, so that a link can open
    both.
    """
    import fiftyone as fo

    samples, panel = fo.Panel(type="Samples", pinned=True), fo.Panel(type="model_evaluation_panel_builtin")
    halves = [fo.Space(children=[child], active_child=child.component_id) for child in (samples, panel)]
    dataset.save_workspace(
        EVALUATION_WORKSPACE,
        fo.Space(children=halves, orientation="horizontal", sizes=[0.4, 0.6]),
        overwrite=True,
        description="Samples beside FiftyOne's Model Evaluation panel.",
    )
