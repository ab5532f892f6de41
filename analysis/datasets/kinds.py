"""What each kind of problem that a reader names means for a training, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "note")
"""error: something is lost, or a training on it is wrong; warning: probably not meant, look at it; note: good
to know.
"""


@dataclass(frozen=True)
class Kind:
    """How a kind is reported.

    Args:
        severity: one of `SEVERITIES`.
        sentence: with {n} (the count) and {s} (a plural s), {are} (is or are).
        advice: what to do.
        fixable: whether `analysis.datasets.fix` fixes it in a written copy.
    """

    severity: str
    sentence: str
    advice: str
    fixable: bool = False


GET = "Get the file again, or take its line out of the annotations."

KINDS: dict[str, Kind] = {
    # Pictures
    "missing image": Kind("error", "{n} image{s} that the annotations name {are} not there.", GET, True),
    "missing image folder": Kind(
        "error",
        "None of a folder's images was found.",
        "Name the folder of the images, or move it where the annotations expect it.",
    ),
    "unreadable image": Kind("error", "{n} image{s} cannot be opened.", GET, True),
    "truncated image": Kind("error", "{n} image{s} {are} cut off before the end.", GET, True),
    "wrong size": Kind(
        "warning",
        "{n} image{s} {have} another size than the annotations state; the image's own is used.",
        "If the images were scaled after labelling, the boxes are wrong too: look at one.",
        True,
    ),
    "annotated unrotated": Kind(
        "warning",
        "{n} photograph{s} {are} turned by EXIF and {were} labelled unturned; the boxes were turned along.",
        "Nothing, if the boxes sit well: look at one.",
        True,
    ),
    "ambiguous rotation": Kind(
        "note",
        "{n} photograph{s} {are} turned by EXIF, and nothing tells whether the boxes were drawn upright.",
        "Look at one of them.",
    ),
    "unlisted image": Kind(
        "note",
        "{n} image{s} {are} in no annotation file and {are} left out.",
        "Nothing, if they are meant to be left out; else label them.",
    ),
    "no annotation": Kind(
        "warning",
        "{n} image{s} {have} no annotation file and count{v} as unlabelled.",
        "Label them, or take them away; an image without objects needs an empty annotation to say so.",
    ),
    "missing label file": Kind(
        "warning",
        "{n} image{s} {have} no label file and count{v} as unlabelled.",
        "Label them; an empty .txt says that an image shows nothing.",
    ),
    "annotation file not read": Kind(
        "warning",
        "{n} file{s} that may hold annotations {were} not read; the images count as unlabelled.",
        "Convert them to COCO, VOC, YOLO or CSV, or name the folder they belong to.",
    ),
    "not a box": Kind(
        "warning",
        "{n} shape{s} {were} left out: a point, a line or a mask gives no box.",
        "Draw a box or a polygon where the object is to be detected.",
    ),
    "names another file": Kind(
        "note",
        "{n} annotation{s} name{v} another image than the one of {its} own name.",
        "Look whether the right image was taken.",
    ),
    "file too large": Kind(
        "error", "{n} file{s} {are} too large and left out.", "Name the folder instead of uploading it."
    ),
    "too many files": Kind(
        "error",
        "{n} file{s} {are} beyond the limit of an upload and left out.",
        "Name the folder instead of uploading it.",
    ),
    "duplicate file": Kind("note", "{n} uploaded file{s} repeat{v} another and {are} left out.", "Nothing."),
    # Boxes
    "zero-area box": Kind(
        "error",
        "{n} box{es} {have} no area and {are} left out.",
        "Draw the object, or delete the entry.",
        True,
    ),
    "malformed box": Kind(
        "error",
        "{n} box{es} {have} numbers that cannot be read and {are} left out.",
        "Correct the line.",
        True,
    ),
    "reversed box": Kind(
        "error",
        "{n} box{es} {have} the right edge left of the left one, or the lower above the upper, and {are} left"
        " out.",
        "Find out whether the corners or the columns were swapped; if in all of them, convert anew.",
        True,
    ),
    "box outside": Kind(
        "error",
        "{n} box{es} lie{v} wholly outside {its} image and {are} left out.",
        "If many do, the boxes belong to other images, or to another size of them.",
        True,
    ),
    "box past border": Kind(
        "warning",
        "{n} box{es} reach{ves} past the border of the image and {were} clipped.",
        "Nothing, if it is a pixel or two; else look at one.",
        True,
    ),
    "normalised box": Kind(
        "warning",
        "{n} box{es} {are} fractions of the image where pixels are due; they were multiplied.",
        "Make the tool that wrote them write pixels.",
        True,
    ),
    "pixels where fractions are due": Kind(
        "error",
        "{n} YOLO box{es} {are} in pixels where fractions are due and {are} left out.",
        "Divide by the image's size.",
        True,
    ),
    "already cropped": Kind(
        "warning",
        "{n} image{s} {were} cut out along {its} box, which no longer fits; {its} image{s} count{v} as"
        " unlabelled.",
        "Get the uncut images, or train on the classes alone.",
    ),
    "boxes ignored": Kind(
        "note", "The boxes were not read, as was asked; the whole image stands in for each.", "Nothing."
    ),
    # Classes
    "unknown class": Kind(
        "error",
        "{n} object{s} {have} a class that nothing names and {are} left out.",
        "Name the class, or correct the number.",
    ),
    "duplicate class name": Kind(
        "warning", "{n} class name{s} stand{v} for two ids.", "Give each class one id."
    ),
    "no class names": Kind(
        "warning", "Classes have numbers and no names.", "Add names to data.yaml, or a classes.txt."
    ),
    "no categories": Kind(
        "warning", "The file lists no categories; ids serve as names.", "Add the categories."
    ),
    "class count differs": Kind(
        "warning", "The number of classes stated differs from the names listed.", "Correct nc, or the names."
    ),
    "category ids differ": Kind(
        "warning",
        "{n} category id{s} mean{v} different classes in different files; names were followed.",
        "Use one list of categories for all splits.",
    ),
    "malformed image": Kind(
        "error",
        "{n} image entr{ies} cannot be read and {are} left out.",
        "Correct the entry; the images it stands for are not in the data set.",
    ),
    "malformed annotation": Kind(
        "error", "{n} annotation{s} cannot be read and {are} left out.", "Correct the entry."
    ),
    "malformed category": Kind("error", "{n} categor{ies} cannot be read.", "Correct the entry."),
    # Files
    "unreadable annotation": Kind(
        "error",
        "{n} annotation file{s} cannot be read; the images count as unlabelled.",
        "Correct the file; the line says where it breaks off.",
    ),
    "malformed line": Kind("error", "{n} line{s} cannot be read and {are} left out.", "Correct them."),
    "unknown image": Kind(
        "error",
        "{n} annotation{s} belong{v} to an image that the file does not list.",
        "List the image, or delete the annotation.",
    ),
    "duplicate id": Kind("warning", "{n} id{s} occur{v} twice.", "Give each its own.", True),
    "missing id": Kind("error", "{n} entr{ies} {have} no id and {are} left out.", "Give each an id."),
    "annotation id 0": Kind(
        "warning",
        "An annotation has the id 0, with which pycocotools loses its match.",
        "Number from 1.",
        True,
    ),
    "in two splits": Kind(
        "error",
        "{n} image{s} {are} listed in two splits.",
        "Take each out of one; what is trained on cannot judge the training.",
        True,
    ),
    "unreadable folder or name": Kind(
        "error",
        "{n} folder{s} or file{s} may not be read, or {have} a name that is no UTF-8.",
        "Fix rights or names.",
    ),
}

UNKNOWN = Kind("warning", "{n} thing{s} of this kind {were} found.", "Look at the files named.")


def counted(sentence: str, n: int) -> str:
    """A sentence of the table for a number: "2 boxes have no area", "1 box has no area"."""
    one = n == 1
    return sentence.format(
        n=f"{n:,}",
        s="" if one else "s",
        es="" if one else "es",
        are="is" if one else "are",
        were="was" if one else "were",
        have="has" if one else "have",
        v="s" if one else "",
        ves="es" if one else "",
        its="its" if one else "their",
        ies="y" if one else "ies",
    )


def kind_of(name: str) -> Kind:
    return KINDS.get(name, UNKNOWN)
