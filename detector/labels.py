"""The label map of a detector: found beside the model, in its archive, given by the user, or COCO's.

External ids here are always those of a label_map.pbtxt: 1 is the first class, 0 the background. A TFLite
file's 0-based classes are these ids less one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from detector.core import ClassMap
from detector.data.label_map import pbtxt_items
from detector.errors import DataError, ModelError, reason_of

FILE_NAMES = (
    "label_map.pbtxt",
    "labelmap.pbtxt",
    "labelmap.txt",
    "label_map.txt",
    "labels.txt",
    "coco_labels.txt",
    "classes.txt",
)
BLANK = {"???", "background", "__background__", "n/a", ""}

_COCO = """person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant -
stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe - backpack
umbrella - - handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove
skateboard surfboard tennis_racket bottle - wine_glass cup fork knife spoon bowl banana apple sandwich
orange broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed - dining_table - - toilet -
tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator - book clock vase
scissors teddy_bear hair_drier toothbrush"""


def coco_class_map() -> ClassMap:
    """COCO's 80 classes with their ids 1..90 (ten ids were never used)."""
    pairs = [(name.replace("_", " "), i) for i, name in enumerate(_COCO.split(), start=1) if name != "-"]
    return ClassMap(tuple(name for name, _ in pairs), tuple(i for _, i in pairs))


def parse_lines(text: str, path: str | Path = "labels") -> ClassMap:
    """One name a line, as phone apps ship it. A first line of "???" or "background" stands for id 0.

    Later blank or "???" lines are ids without a class (COCO's gaps).

    Raises:
        ModelError: no names, or one occurs twice.
    """
    lines = [re.sub(r"^\d+[ :\t]\s*(?=\S)", "", line.strip()) for line in text.lstrip("\ufeff").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    first = 0 if lines and lines[0].lower() in BLANK else 1
    pairs = [(name, i) for i, name in enumerate(lines, start=first) if name.lower() not in BLANK]
    return _class_map(pairs, path)


def parse_pbtxt(text: str, path: str | Path = "label_map.pbtxt") -> ClassMap:
    """The items of a StringIntLabelMap; `display_name` is shown where there is one.

    Raises:
        ModelError: an item has no id or no name, or one occurs twice.
    """
    try:
        items = pbtxt_items(text, path)
    except DataError as error:
        raise ModelError(error.message, path=path, line=error.line) from None
    pairs = [(name, number) for number, name, _ in items if number > 0 and name.lower() not in BLANK]
    return _class_map(pairs, path)


def _class_map(pairs: list[tuple[str, int]], path: str | Path) -> ClassMap:
    if not pairs:
        raise ModelError("expected class names in the label map, found none.", path=path)
    for column, what in ((0, "name"), (1, "id")):
        values = [pair[column] for pair in pairs]
        twice = (
            next((v for v in values if values.count(v) > 1), None) if len(set(values)) < len(values) else None
        )
        if twice is not None:
            raise ModelError(
                f"expected distinct {what}s in the label map, {twice!r} occurs twice.", path=path
            )
    return ClassMap(tuple(name for name, _ in pairs), tuple(i for _, i in pairs))


def read_labels(path: str | Path) -> ClassMap:
    """A label_map.pbtxt or a text file of names; external ids as in the module's docstring.

    Raises:
        ModelError: the file is missing or is no label map.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"expected a label map (label_map.pbtxt or one name a line): {reason_of(error)}.", path=path
        ) from error
    if path.suffix.lower() in (".json", ".yaml", ".yml"):
        return _structured(text, path)
    is_proto = path.suffix == ".pbtxt" or re.search(r"^\s*item\s*:?\s*\{", text, re.MULTILINE)
    return parse_pbtxt(text, path) if is_proto else parse_lines(text, path)


def _structured(text: str, path: Path) -> ClassMap:
    """Names in a JSON or YAML file: a list, number: name, or either under "names" (a data.yaml), or COCO's
    "categories".

    Raises:
        ModelError: it holds none of these.
    """
    try:
        found = yaml.safe_load(text)  # JSON is YAML
    except yaml.YAMLError as error:
        raise ModelError("expected class names as JSON or YAML, it is neither.", path=path) from error
    if isinstance(found, dict) and isinstance(found.get("categories"), list):
        items = [c for c in found["categories"] if isinstance(c, dict) and {"id", "name"} <= set(c)]
        return _class_map([(str(c["name"]), int(c["id"]) + (_least(items) == 0)) for c in items], path)
    if isinstance(found, dict) and isinstance(found.get("names"), (list, dict)):
        found = found["names"]
    if isinstance(found, list) and all(isinstance(name, (str, int)) for name in found):
        return _class_map([(str(name), i) for i, name in enumerate(found, start=1)], path)
    if isinstance(found, dict) and found and all(str(key).isdigit() for key in found):
        first = min(int(key) for key in found)
        pairs = [(str(name), int(key) + (first == 0)) for key, name in found.items()]
        return _class_map([pair for pair in pairs if pair[0].lower() not in BLANK], path)
    raise ModelError(
        'expected class names: a list, {"0": name, ...}, either of them under "names", or COCO\'s'
        ' "categories".',
        path=path,
    )


def _least(categories: list[dict]) -> int:
    return min((int(c["id"]) for c in categories), default=1)


def _plain_names(chosen: ClassMap) -> tuple[ClassMap, tuple[str, ...]]:
    """Names without the b'...' that Python 3 puts around bytes of Python 2, and a note where there were
    any."""
    names = tuple(re.sub(r"^b(['\"])(.+)\1$", r"\2", name) for name in chosen.names)
    if names == chosen.names or len(set(names)) < len(names):
        return chosen, ()
    was, now = next((a, b) for a, b in zip(chosen.names, names) if a != b)
    return ClassMap(names, chosen.external_ids), (
        f"The label map writes {was}, a slip of its exporter between bytes and text; it is shown as {now}.",
    )


def find_labels(folders: Sequence[Path]) -> Path | None:
    """The first label map lying in these folders, under one of the usual names, else the only .pbtxt."""
    for folder in folders:
        for name in FILE_NAMES:
            if (folder / name).is_file():
                return folder / name
        proto = sorted(folder.glob("*.pbtxt")) if folder.is_dir() else []
        if len(proto) == 1:
            return proto[0]
    return None


def configured_classes(folders: Sequence[Path]) -> tuple[int | None, tuple[str, ...]]:
    """(num_classes of the first pipeline.config in these folders, a sentence that says so), or (None, ())."""
    for folder in folders:
        path = folder / "pipeline.config"
        if not path.is_file():
            continue
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8", errors="replace"))
        found = re.search(r"\bnum_classes\s*:\s*(\d+)", text)
        if found and int(found[1]):
            note = f"The number of classes, {found[1]}, is the one that the pipeline.config beside it states."
            return int(found[1]), (note,)
    return None, ()


def choose_labels(
    *,
    labels: str | Path | Sequence[str] | None,
    classes: ClassMap | None,
    folders: Sequence[Path],
    outputs: int | None,
    packed: ClassMap | None = None,
) -> tuple[ClassMap, tuple[str, ...]]:
    """The class map of a model, and sentences about what was assumed.

    In this order: `classes`, `labels` (a file or the names), `packed` (what the model file itself carries),
    a file in `folders`, COCO where the model has its 90 outputs, else numbered names.

    Args:
        outputs: the number of classes the network scores, without background, or None where it does not say.

    Raises:
        ModelError: a label map cannot be read, or nothing says how many classes there are.
    """
    coco = coco_class_map()
    found = None if labels is not None or packed is not None else find_labels(folders)
    if classes is not None:
        chosen = (
            classes
            if min(classes.external_ids, default=1) > 0
            else ClassMap(classes.names, tuple(i + 1 for i in classes.external_ids))
        )
    elif labels == "coco":
        chosen = coco if outputs != 80 else ClassMap(coco.names, tuple(range(1, 81)))
    elif isinstance(labels, (str, Path)):
        chosen = read_labels(labels)
    elif labels is not None:
        chosen = _class_map([(str(name), i) for i, name in enumerate(labels, start=1)], "labels")
    elif packed is not None:
        chosen = packed
    elif found is not None:
        chosen = read_labels(found)
    elif outputs in (90, 80):
        chosen = coco if outputs == 90 else ClassMap(coco.names, tuple(range(1, 81)))
        return _fit(
            chosen,
            outputs,
            (
                (
                    "No label map came with the model; its number of outputs is COCO's, so COCO's names are"
                    " shown."
                ),
            ),
        )
    elif outputs:
        names = tuple(f"class {i}" for i in range(1, outputs + 1))
        return ClassMap(names, tuple(range(1, outputs + 1))), (
            (
                "No label map came with the model, so its classes are numbered; put a label_map.pbtxt or"
                " labelmap.txt beside it."
            ),
        )
    else:
        raise ModelError(
            "The model does not say how many classes it has; give its label map (labels=..., --labels; `coco`"
            " for COCO's), or put label_map.pbtxt or its pipeline.config beside it."
        )
    if outputs == 90 and chosen.names == coco.names:
        chosen = coco  # a list of the 80 names in order, for a network with COCO's 90 ids
    chosen, notes = _plain_names(chosen)
    if outputs == len(chosen) and max(chosen.external_ids) > outputs:
        chosen = ClassMap(chosen.names, tuple(range(1, outputs + 1)))
        notes += (
            "The label map's ids have gaps and the model's classes none; its names were taken in order.",
        )
    return _fit(chosen, outputs, notes)


def _fit(chosen: ClassMap, outputs: int | None, notes: tuple[str, ...]) -> tuple[ClassMap, tuple[str, ...]]:
    if outputs is None:
        return chosen, notes
    last = max(chosen.external_ids, default=0)
    if last > outputs:
        notes += (
            (
                f"The label map goes up to id {last}, but the model has {outputs} classes: is it another"
                " model's?"
            ),
        )
    gaps = sorted(set(range(1, min(last, outputs) + 1)) - set(chosen.external_ids))
    if gaps:
        notes += (
            (
                f"The label map has no name for {len(gaps)} of the model's ids ({_some(gaps)}); what it finds"
                " under them is left out and counted."
            ),
        )
    if last < outputs:
        more = [i for i in range(last + 1, outputs + 1) if f"class {i}" not in chosen]
        chosen = ClassMap(chosen.names + tuple(f"class {i}" for i in more), chosen.external_ids + tuple(more))
        notes += (f"The label map ends at id {last}, the model at {outputs}; the rest are numbered.",)
    return chosen, notes


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:12])) + (", ..." if len(numbers) > 12 else "")
