"""The doctor's rules over classes, images, boxes, copies and anchor reach; each gives findings, none for a
clean set.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from analysis.datasets.anchor_reach import Part, Reach
from analysis.datasets.duplicates import Copies, describe_rows
from analysis.datasets.findings import Finding, Place, Settings
from analysis.datasets.kinds import counted
from detector.boxes import iou as box_iou
from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.data.formats.class_names import look_alikes, plain_name

EXPLAINED = ("no annotation", "missing label file", "unreadable annotation")
"""Problems of readers that already say of an image why it is unlabelled."""
IMBALANCE = 20
WHOLE = 0.98
LONG_FRAME = 3.0
MANY, POOR = 20, 0.8
"""A class of at least so many objects, of which anchors reach a smaller share than this, is worth a
warning.
"""


def _names(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _rows_of(dataset: Dataset, class_id: int) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unique(dataset.objects.rows[dataset.objects.class_ids == class_id]))


def object_words(dataset: Dataset, k: int) -> str:
    """ "object 2 of 7 (RBC, 12x8 pixels at 40, 33)", counted within its image."""
    row = int(dataset.objects.rows[k])
    first, last = int(dataset.offsets[row]), int(dataset.offsets[row + 1])
    x1, y1, x2, y2 = (float(v) for v in dataset.objects.xyxy[k])
    return (
        f"object {k - first + 1} of {last - first} ({dataset.class_map.names[dataset.objects.class_ids[k]]},"
        f" {x2 - x1:.3g}x{y2 - y1:.3g} pixels at {x1:.4g}, {y1:.4g})"
    )


def _object_place(dataset: Dataset, k: int, message: str = "", also: tuple[int, ...] = ()) -> Place:
    path, line = dataset.place_of(int(k))
    row = int(dataset.objects.rows[k])
    words = object_words(dataset, int(k)) + (f" {message}" if message else "")
    return Place(words, path or dataset.files[row], line, (row,), (int(k), *also))


def _image_place(dataset: Dataset, i: int, message: str, objects: Iterable[int] = ()) -> Place:
    return Place(
        message, dataset.files[i] or dataset.sample_ids[i], None, (int(i),), tuple(int(k) for k in objects)
    )


# ---- classes


def training_rows(dataset: Dataset) -> tuple[np.ndarray, str]:
    """bool [N], the images a training would see, and what they are called: the split "train" where there is
    one.
    """
    train = np.array([s == "train" for s in dataset.splits], bool)
    return (train, "train") if train.any() else (np.ones(len(dataset), bool), "")


def classes(dataset: Dataset, label_map: ClassMap | None, settings: Settings) -> list[Finding]:
    names, t = dataset.class_map.names, dataset.objects
    counts = np.bincount(t.class_ids[~t.crowd], minlength=len(names)) if len(names) else np.zeros(0, int)
    found: list[Finding] = []
    groups = [(p, _alike(names, p.message)) for p in look_alikes(names, dataset.source)]
    if groups:
        places = tuple(
            Place(
                f"{' and '.join(f'{names[k]!r} ({counts[k]:,} objects)' for k in ids)} differ only by case,"
                " blanks, - or _.",
                dataset.source,
                None,
                tuple(sorted({i for k in ids for i in _rows_of(dataset, k)})),
            )
            for _, ids in groups
        )
        found.append(
            Finding(
                "similar class names",
                "warning",
                len(groups),
                counted(
                    "{n} group{s} of class names differ{v} only by case, blanks, - or _, and {are} read as"
                    " different classes.",
                    len(groups),
                ),
                "Use one spelling.",
                places,
                True,
            )
        )
    if label_map is not None:
        found += _label_map(dataset, label_map, counts)
    train, split = training_rows(dataset)
    trained = (
        np.bincount(t.class_ids[train[t.rows] & ~t.crowd], minlength=len(names)) if len(names) else counts
    )
    where = f" in {split}" if split else ""
    unseen = np.flatnonzero((trained == 0) & (counts > 0))
    if len(unseen):
        found.append(
            Finding(
                "class never trained",
                "error",
                len(unseen),
                counted("{n} class{es} occur{v} in other splits and never in train.", len(unseen)),
                "Split anew so that every class is trained, or take the class out.",
                tuple(
                    Place(
                        f"{names[k]}: {counts[k]:,} objects, none in train",
                        dataset.source,
                        None,
                        _rows_of(dataset, k),
                    )
                    for k in unseen
                ),
            )
        )
    rare = np.flatnonzero((trained > 0) & (trained < settings.rare))
    rare = rare[np.argsort(trained[rare], kind="stable")]
    if len(rare):
        found.append(
            Finding(
                "rare class",
                "warning",
                len(rare),
                f"{counted('{n} class{es} {have}', len(rare))} fewer than {settings.rare} objects to learn"
                f" from{where}: {_names([f'{names[k]} {trained[k]}' for k in rare])}.",
                "Label more of them, or take the class out: so few are learnt by heart, and a figure on them"
                " means little.",
                tuple(
                    Place(
                        f"{names[k]}: {trained[k]} object{'' if trained[k] == 1 else 's'}{where}",
                        dataset.source,
                        None,
                        _rows_of(dataset, k),
                    )
                    for k in rare
                ),
            )
        )
    absent = np.flatnonzero(counts == 0)
    if len(absent) and len(t):
        found.append(
            Finding(
                "class without objects",
                "note",
                len(absent),
                f"{counted('{n} class{es} {have}', len(absent))} no object at all:"
                f" {_names([names[k] for k in absent])}.",
                "Nothing, or take them out: each costs outputs of the network that learn nothing.",
            )
        )
    some = counts[counts > 0]
    if len(some) > 1 and some.max() > IMBALANCE * some.min():
        most, least = int(np.argmax(counts)), int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
        found.append(
            Finding(
                "class imbalance",
                "note",
                1,
                f"{names[most]} has {counts[most]:,} objects, {names[least]} {counts[least]:,}:"
                f" {counts[most] / counts[least]:.0f} for one.",
                "Look at figures by class; one figure over all objects speaks for the frequent ones.",
            )
        )
    return found


def _alike(names: Sequence[str], message: str) -> list[int]:
    return [k for k, name in enumerate(names) if repr(name) in message]


def _label_map(dataset: Dataset, label_map: ClassMap, counts: np.ndarray) -> list[Finding]:
    names = dataset.class_map.names
    wanted = {plain_name(name): name for name in label_map.names}
    near = {
        name: wanted[plain_name(name)]
        for name in names
        if name not in label_map and plain_name(name) in wanted
    }
    missing = [
        name
        for name in names
        if name not in label_map and name not in near and counts[dataset.class_map.index(name)]
    ]
    found = []

    def place(name: str, words: str) -> Place:
        k = dataset.class_map.index(name)
        return Place(f"{name} ({counts[k]:,} objects){words}", dataset.source, None, _rows_of(dataset, k))

    if missing:
        found.append(
            Finding(
                "not in the label map",
                "error",
                len(missing),
                f"{counted('{n} class{es} of the data {are}', len(missing))} not in the label map:"
                f" {_names(missing)}.",
                "Add them to the label map, or take their objects out; a training refuses such data.",
                tuple(place(name, " is not in the label map") for name in missing),
            )
        )
    if near:
        found.append(
            Finding(
                "spelt differently",
                "error",
                len(near),
                f"{counted('{n} class{es} {are}', len(near))} spelt differently in the label map:"
                f" {_names([f'{a!r} there {b!r}' for a, b in near.items()])}.",
                "Use one spelling.",
                tuple(place(name, f" is called {other!r} in the label map") for name, other in near.items()),
                True,
            )
        )
    unused = [name for name in label_map.names if name not in dataset.class_map and name not in near.values()]
    if unused:
        found.append(
            Finding(
                "only in the label map",
                "note",
                len(unused),
                f"{counted('{n} class{es} of the label map {are}', len(unused))} not in the data:"
                f" {_names(unused)}.",
                "Nothing, if that is meant.",
            )
        )
    ids = dict(zip(label_map.names, label_map.external_ids))
    if dataset.format == "coco" and (
        differ := [
            name
            for name, number in zip(names, dataset.class_map.external_ids)
            if ids.get(name, number) != number
        ]
    ):
        found.append(
            Finding(
                "label map ids differ",
                "warning",
                len(differ),
                f"{counted('{n} class{es} {have}', len(differ))} another id in the label map than in the"
                f" data: {_names(differ)}.",
                "Boxscope goes by names; a tool that goes by ids would confuse them.",
            )
        )
    if min(label_map.external_ids, default=1) < 1:
        found.append(
            Finding(
                "label map has id 0",
                "error",
                1,
                "The label map gives a class the id 0, which the Object Detection API keeps for the"
                " background.",
                "Number classes from 1.",
            )
        )
    return found


# ---- images


def images(dataset: Dataset, settings: Settings) -> list[Finding]:
    n = len(dataset)
    if not n:
        return [
            Finding(
                "no image",
                "error",
                1,
                "The data set holds no image.",
                "Look whether this is the file or folder that was meant, and whether its list of images is"
                " filled.",
            )
        ]
    per_image = np.diff(dataset.offsets)
    found: list[Finding] = []
    explained = {p.sample_id for p in dataset.problems if p.kind in EXPLAINED}
    bare = [i for i in np.flatnonzero(~dataset.labelled) if dataset.sample_ids[i] not in explained]
    if not dataset.labelled.any():
        found.append(
            Finding(
                "nothing labelled",
                "warning",
                n,
                f"None of the {n:,} images is labelled: there is nothing to train on or to evaluate with.",
                "Label them, or name the folder or file that holds the annotations.",
            )
        )
    elif bare:
        found.append(
            Finding(
                "unlabelled image",
                "warning",
                len(bare),
                f"{len(bare):,} of {n:,} images are unlabelled: a training leaves them out.",
                "Label them, or take them away.",
                tuple(_image_place(dataset, i, "unlabelled") for i in bare),
            )
        )
    empty = np.flatnonzero(dataset.labelled & (per_image == 0))
    labelled = int(dataset.labelled.sum())
    if len(empty):
        grave = "warning" if 2 * len(empty) > labelled else "note"
        found.append(
            Finding(
                "image without objects",
                grave,
                len(empty),
                f"{len(empty):,} of {labelled:,} labelled images hold{'s' if len(empty) == 1 else ''} no"
                " object.",
                "Good as background if that is true; look at some for objects that nobody drew.",
                tuple(_image_place(dataset, i, "no object") for i in empty),
            )
        )
    many = np.flatnonzero(per_image > settings.crowded)
    if len(many):
        found.append(
            Finding(
                "many objects",
                "warning",
                len(many),
                f"{counted('{n} image{s} hold{v}', len(many))} more than {settings.crowded} objects, the cap"
                " on boxes of the usual networks.",
                "Raise max_detections of the network, or cut the images into tiles.",
                tuple(_image_place(dataset, i, f"{per_image[i]} objects") for i in many),
            )
        )
    size = dataset.sizes.astype(float)
    known = (size > 0).all(axis=1)
    long = np.flatnonzero(
        known
        & (size.max(axis=1, initial=0) > LONG_FRAME * np.where(known, size.min(axis=1, initial=np.inf), 1))
    )
    if len(long):
        found.append(
            Finding(
                "long image",
                "note",
                len(long),
                f"{counted('{n} image{s} {are}', len(long))} more than {LONG_FRAME:g} times as long as wide;"
                " stretched to a square input their objects are squeezed.",
                "Cut them into tiles, or choose an input size of their shape.",
                tuple(_image_place(dataset, i, f"{int(size[i][0])}x{int(size[i][1])} pixels") for i in long),
            )
        )
    if n > 1 and len(dataset.objects) and not any(dataset.splits):
        found.append(
            Finding(
                "no split",
                "note",
                1,
                "No image is assigned to a split.",
                "Hold some out before training; what was trained on cannot judge the training.",
            )
        )
    return found


# ---- boxes


def boxes(dataset: Dataset, settings: Settings) -> list[Finding]:
    t = dataset.objects
    wide, high = (t.xyxy[:, 2] - t.xyxy[:, 0]).astype(float), (t.xyxy[:, 3] - t.xyxy[:, 1]).astype(float)
    single = ~t.crowd
    found: list[Finding] = []
    thin = np.flatnonzero(single & (np.minimum(wide, high) < 2))
    if len(thin):
        found.append(
            Finding(
                "thin box",
                "warning",
                len(thin),
                f"{counted('{n} box{es} {are}', len(thin))} less than 2 pixels wide or high.",
                "Most are slips of the mouse: look, and delete them.",
                tuple(_object_place(dataset, k) for k in thin),
            )
        )
    ratio = np.maximum(wide, high) / np.maximum(np.minimum(wide, high), 1e-6)
    odd = np.flatnonzero(single & (ratio > settings.aspect) & (np.minimum(wide, high) >= 2))
    odd = odd[np.argsort(-ratio[odd], kind="stable")]
    if len(odd):
        found.append(
            Finding(
                "odd aspect ratio",
                "note",
                len(odd),
                f"{counted('{n} box{es} {are}', len(odd))} more than {settings.aspect:g} times as long as"
                " wide.",
                "Right for skis and trains; else look whether corners slipped.",
                tuple(_object_place(dataset, k, f"is {ratio[k]:.1f} to 1") for k in odd),
            )
        )
    size = dataset.sizes[t.rows].astype(float)
    whole = np.flatnonzero(
        single & (size > 0).all(axis=1) & (wide >= WHOLE * size[:, 0]) & (high >= WHOLE * size[:, 1])
    )
    if len(whole):
        found.append(
            Finding(
                "box is the whole image",
                "note",
                len(whole),
                f"{counted('{n} box{es} cover{v}', len(whole))} the whole image.",
                "Right for close-ups; else the picture may have been cropped, or the box be a stand-in for"
                " none.",
                tuple(_object_place(dataset, k) for k in whole),
            )
        )
    twice, torn, repeats = [], [], 0
    for a, b, overlap in overlapping(dataset, settings.overlap):
        same = t.class_ids[a] == t.class_ids[b]
        words = (
            f"overlaps object {b - dataset.offsets[t.rows[b]] + 1}"
            f" ({dataset.class_map.names[t.class_ids[b]]}) with IoU {overlap:.2f}"
        )
        repeats += same and bool((t.xyxy[a] == t.xyxy[b]).all())
        (twice if same else torn).append(_object_place(dataset, a, words, (b,)))
    if twice:
        found.append(
            Finding(
                "labelled twice",
                "warning",
                len(twice),
                f"{counted('{n} pair{s} of boxes of one class overlap{v}', len(twice))} by IoU"
                f" {settings.overlap:g} or more: one object, labelled twice.",
                "Delete one of each.",
                tuple(twice),
                repeats > 0,
            )
        )
    if torn:
        found.append(
            Finding(
                "two classes on one box",
                "warning",
                len(torn),
                f"{counted('{n} pair{s} of boxes of different classes overlap{v}', len(torn))} by IoU"
                f" {settings.overlap:g} or more.",
                "Decide on one, unless both are meant (a rider and a horse seen from the front).",
                tuple(torn),
            )
        )
    return found


def overlapping(dataset: Dataset, least: float) -> Iterator[tuple[int, int, float]]:
    """(a, b, IoU) of objects of one image, a < b, crowds left out, that overlap by at least this."""
    t = dataset.objects
    for i in np.flatnonzero(np.diff(dataset.offsets) > 1):
        at = np.arange(dataset.offsets[i], dataset.offsets[i + 1])
        at = at[~t.crowd[at]]
        overlap = np.triu(box_iou(t.xyxy[at], t.xyxy[at]), 1)
        for a, b in zip(*np.nonzero(overlap >= least)):
            yield int(at[a]), int(at[b]), float(overlap[a, b])


# ---- copies


def _objects_of(dataset: Dataset, row: int) -> tuple:
    """An image's objects as a value that does not depend on their order: classes, crowd flags, boxes."""
    t, at = dataset.objects, slice(dataset.offsets[row], dataset.offsets[row + 1])
    objects = sorted(
        (int(c), bool(w), *map(float, b)) for c, w, b in zip(t.class_ids[at], t.crowd[at], t.xyxy[at])
    )
    return bool(dataset.labelled[row]), *objects


def same_labels(dataset: Dataset, i: int, j: int) -> bool:
    """Whether two images carry the same objects, or are both unlabelled."""
    return _objects_of(dataset, i) == _objects_of(dataset, j)


def copies(dataset: Dataset, groups: Sequence[Copies]) -> list[Finding]:
    exact, near = [g for g in groups if g.kind != "near"], [g for g in groups if g.kind == "near"]

    def places(chosen: Sequence[Copies], words: str = "") -> tuple[Place, ...]:
        return tuple(
            Place(
                f"{describe_rows(dataset, g.rows)}: {words or g.kind}",
                dataset.files[g.rows[0]] or dataset.sample_ids[g.rows[0]],
                None,
                g.rows,
            )
            for g in chosen
        )

    found: list[Finding] = []

    def add(
        kind: str,
        severity: str,
        chosen: Sequence[Copies],
        sentence: str,
        advice: str,
        fixable: bool,
        words: str = "",
    ) -> None:
        if chosen:
            found.append(
                Finding(
                    kind,
                    severity,
                    len(chosen),
                    counted(sentence, len(chosen)),
                    advice,
                    places(chosen, words),
                    fixable,
                )
            )

    labels = {g: len({_objects_of(dataset, i) for i in g.rows}) for g in exact}
    add(
        "leak between splits",
        "error",
        [g for g in exact if g.leaks],
        "{n} picture{s} stand{v} in more than one split, by content.",
        "Take each out of train: what was trained on cannot judge the training.",
        any(g.leaks and labels[g] < len(g.rows) for g in exact),
    )
    add(
        "near leak between splits",
        "warning",
        [g for g in near if g.leaks],
        "{n} group{s} of near-duplicates lie{v} in more than one split (perceptual hash, thumbnails"
        " compared).",
        "Look at them; frames of one scene belong into one split.",
        False,
        "near-duplicates",
    )
    add(
        "copies labelled differently",
        "warning",
        [g for g in exact if labels[g] > 1],
        "{n} picture{s} occur{v} several times with different objects.",
        "Keep the better one.",
        False,
    )
    add(
        "copy",
        "warning",
        [g for g in exact if not g.leaks and labels[g] < len(g.rows)],
        "{n} picture{s} occur{v} several times with the same objects, by content.",
        "Keep one.",
        True,
    )
    add(
        "near copy",
        "note",
        [g for g in near if not g.leaks],
        "{n} group{s} of near-duplicates (perceptual hash, thumbnails compared).",
        "Keep each group in one split, or keep one of it.",
        False,
        "near-duplicates",
    )
    return found


# ---- reach


def reach(dataset: Dataset, found: Reach) -> list[Finding]:
    a, out = found.anchors, []
    size = f"{a.input_size[0]}x{a.input_size[1]}"
    names, ids = dataset.class_map.names, dataset.objects.class_ids
    small = found.judged & (found.shorter < a.cell)
    if small.any():
        counts = Counter(names[k] for k in ids[small])
        count = int(small.sum())
        words = (
            f"{counted('{n} object{s} {are}', count)} less than {a.cell:.0f} pixels wide or high at an input"
            f" of {size}, a cell of the finest feature map:"
            f" {_names([f'{n} {c:,}' for n, c in counts.most_common()])}."
        )
        out.append(
            Finding(
                "too small for the input",
                "warning" if count > 0.02 * found.whole.objects else "note",
                count,
                words,
                "Choose a larger input, cut the images into tiles, or do without these objects.",
                _by_image(
                    dataset,
                    small,
                    found.shorter,
                    "{n} less than " + f"{a.cell:.0f} pixels at the input, the smallest {{least:.1f}}",
                ),
            )
        )
    lost = found.unreached
    if lost.any():
        count = int(lost.sum())
        worst = sorted(
            (p for p in found.classes if p.reached < p.objects), key=lambda p: (p.ceiling or 0, -p.objects)
        )
        badly = any(p.objects >= MANY and (p.ceiling or 0) < POOR for p in found.classes)
        where = _names([f"{p.name} {_share(p)}" for p in worst], 4)
        by_size = ", ".join(
            f"{p.name} {_share(p)}" for p in found.sizes if p.objects and p.reached < p.objects
        )
        words = (
            f"{count:,} of {found.whole.objects:,} objects are reached by no anchor of {a.name} at {size}"
            f" with IoU {a.match_iou:g}; the anchors' recall ceiling is {_share(found.whole)} (by class:"
            f" {where}; by size at the input: {by_size})."
        )
        out.append(
            Finding(
                "no anchor",
                "warning" if count > 0.05 * found.whole.objects or badly else "note",
                count,
                words,
                "A larger input, tiles, or anchors of their scale and shape; each such object is learnt from"
                " one forced anchor only.",
                _by_image(dataset, lost, found.iou, "{n} reached by no anchor, the worst at IoU {least:.2f}"),
            )
        )
    return out


def _share(part: Part) -> str:
    return "undefined" if part.ceiling is None else f"{100 * part.ceiling:.1f} %"


def _by_image(dataset: Dataset, chosen: np.ndarray, values: np.ndarray, words: str) -> tuple[Place, ...]:
    """A place an image, the one with most of these objects first; a place an object would be too many."""
    by_image: dict[int, list[int]] = defaultdict(list)
    for k in np.flatnonzero(chosen):
        by_image[int(dataset.objects.rows[k])].append(int(k))
    out = []
    for i, ks in sorted(by_image.items(), key=lambda item: -len(item[1])):
        path, line = dataset.place_of(ks[0])
        n = f"{len(ks)} object{'s are' if len(ks) > 1 else ' is'}"
        out.append(
            Place(
                words.format(n=n, least=float(np.nanmin(values[ks]))),
                path or dataset.files[i] or dataset.sample_ids[i],
                line,
                (i,),
                tuple(ks),
            )
        )
    return tuple(out)
