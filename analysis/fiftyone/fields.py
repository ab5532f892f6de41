"""The names a push gives its fields, in one place for writing, reading back and pulling.

A second run over the same images goes beside the first: its predictions field, its evaluation and its fields
on the ground truth carry a suffix ("_2").
"""

from __future__ import annotations

from dataclasses import dataclass

TRUTH = "ground_truth"
INFO = "boxscope"  # key in the data set's info
# Not "sample_id": FiftyOne's patches keep the id of their sample under that name.
SAMPLE_ID, SPLIT, LINK, SOURCE = "image_id", "split", "boxscope_link", "source_file"

RESERVED = frozenset(
    {
        "id",
        "tags",
        "label",
        "bounding_box",
        "mask",
        "confidence",
        "index",
        "attributes",
        "object_id",
        "verdict",
        "iou",
        "error",
        "confused_with",
        "size",
        "link",
        "eval",
        "eval_id",
        "eval_iou",
        "seen_at",
        "iscrowd",
        "difficult",
        "truncated",
        "occluded",
    }
)
FLAG_FIELDS = {"crowd": "iscrowd", "difficult": "difficult", "truncated": "truncated", "occluded": "occluded"}


@dataclass(frozen=True)
class Names:
    """The fields of one run in a data set; `suffix` is "" for the first run and "_2", "_3", ... after it."""

    suffix: str = ""
    base: str = "predictions"
    key: str = "eval"

    @property
    def predictions(self) -> str:
        return self.base + self.suffix

    @property
    def eval_key(self) -> str:
        return self.key + self.suffix

    @property
    def truth_verdict(self) -> str:
        return "verdict" + self.suffix

    @property
    def seen_at(self) -> str:
        return "seen_at" + self.suffix

    @property
    def truth_error(self) -> str:
        return "error" + self.suffix

    @property
    def problem(self) -> str:
        return "problem" + self.suffix

    @property
    def confidence_map(self) -> str:
        return "confidence_map" + self.suffix

    @property
    def missed_map(self) -> str:
        return "missed_map" + self.suffix

    def evidence_map(self, method: str) -> str:
        return f"evidence_{method}{self.suffix}"

    def of_truth(self, name: str) -> str:
        """The field on the ground truth for an extra column."""
        return name + self.suffix
