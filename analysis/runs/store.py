"""Stored runs: opening, listing, and the Run everything else works on.

What lies in a run's folder stands in `analysis.runs.files`; how rows get there in `analysis.runs.writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from analysis.runs import files
from analysis.runs.manifest import Manifest, read_manifest
from analysis.runs.notebook import run_table
from analysis.runs.parts import read_parts
from analysis.runs.tables import DetectionTable
from analysis.runs.truth_frames import fit_truth
from analysis.runs.writer import RunWriter, create_run
from detector.core import FLAGS, Annotations, ClassMap, Detections, frozen_array
from detector.data.dataset import ObjectTable, Problem, no_sample
from detector.errors import ImageError, InputError, RunError
from detector.locks import is_locked

__all__ = [
    "DetectionTable",
    "Run",
    "RunSummary",
    "RunWriter",
    "create_run",
    "list_runs",
    "open_run",
]


class Run:
    """A detection pass over a data set: what was run, what it found, and the ground truth beside it.

    Args and attributes:
        path: its folder, or None for a run in memory.
        manifest: what was run on what (`analysis.runs.manifest.Manifest`).
        class_map: unified; the data set's classes first, then the detector's that it lacks.
        sample_ids: N strings; files: N paths, "" where the image is no file; splits: N names or None.
        sizes: int32 [N, 2] (W, H) as decoded, as stated where not decoded yet, zeros where unknown.
        labelled: bool [N], whether the image's objects are known.
        done: bool [N], whether the detector is through with the image; failed images are done.
        failed: sample id -> why the image could not be read.
        truth: ObjectTable, boxes in the upright decoded frame, over all images, done or not.
        detections: DetectionTable with the unified class ids.
        problems: of the data set's reader, then of the run (sizes that differ, boxes left out, images that
            failed).

    Figures count only the images of `usable`: done, readable and labelled. An image that is not done, or
    could not be read, has no detections, and counting its objects would call them all missed.

    Arrays cannot be written to.
    """

    def __init__(
        self,
        *,
        path: Path | None,
        manifest: Manifest,
        sample_ids: Sequence[str],
        files: Sequence[str],
        sizes: np.ndarray,
        splits: Sequence[str | None],
        labelled: np.ndarray,
        truth: ObjectTable,
        detections: DetectionTable,
        done: np.ndarray,
        failed: dict[str, str],
        problems: Sequence[Problem],
        loader: Callable[[int], np.ndarray] | None = None,
    ):
        n = len(sample_ids)
        self.path, self.manifest = path, manifest
        self.class_map: ClassMap = manifest.class_map
        self.sample_ids, self.files, self.splits = list(sample_ids), list(files), list(splits)
        self.sizes = frozen_array(sizes, np.int32, (n, 2), "Run.sizes")
        self.labelled = frozen_array(labelled, bool, (n,), "Run.labelled")
        self.done = frozen_array(done, bool, (n,), "Run.done")
        self.truth, self.detections = truth, detections
        self.failed, self.problems = dict(failed), tuple(problems)
        self._loader = loader
        self._position = {s: i for i, s in enumerate(self.sample_ids)}
        if detections.count != n:
            raise InputError(f"Run: expected detections over {n} images, got {detections.count}.")
        self.truth_offsets = np.searchsorted(truth.rows, np.arange(n + 1))

    def __len__(self) -> int:
        return len(self.sample_ids)

    def __contains__(self, sample_id: object) -> bool:
        return sample_id in self._position

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def floor(self) -> float:
        """The score below which detections were not stored."""
        return self.manifest.floor

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.class_map.names

    @property
    def labelled_classes(self) -> int:
        """How many of the classes, the first ones, the data set knows."""
        return self.manifest.classes.dataset_classes

    @property
    def detection_count(self) -> int:
        return len(self.detections)

    @property
    def object_count(self) -> int:
        return len(self.truth)

    def windows(
        self, *, detections: bool = True, boxes: bool = True, truth: bool = True
    ) -> Iterator[tuple[int, Run]]:
        """One window, (0, this run), whatever is asked for; none where the run holds no image."""
        if len(self):
            yield 0, self

    @cached_property
    def readable(self) -> np.ndarray:
        """bool [N]: done and not failed."""
        readable = self.done.copy()
        readable[[self._position[s] for s in self.failed]] = False
        readable.setflags(write=False)
        return readable

    @cached_property
    def usable(self) -> np.ndarray:
        """bool [N]: the images that figures count: done, readable and labelled."""
        usable = self.readable & self.labelled
        usable.setflags(write=False)
        return usable

    @cached_property
    def version(self) -> str:
        """Changes whenever the run's content does: its identity and how far it is. For cache keys."""
        return f"{self.manifest.identity}-{int(self.done.sum())}-{len(self.failed)}-{len(self.detections)}"

    def position(self, sample_id: str) -> int:
        """The place of a sample id.

        Raises:
            InputError: the run has no such sample.
        """
        try:
            return self._position[str(sample_id)]
        except KeyError:
            raise no_sample(self.name, sample_id, self.sample_ids, self.files) from None

    def image_size(self, i: int) -> tuple[int, int]:
        """(W, H) of image i; where nobody knows it yet, the smallest frame that holds its objects."""
        width, height = (int(v) for v in self.sizes[i])
        if width and height:
            return width, height
        boxes = self.truth.xyxy[self.truth_offsets[i] : self.truth_offsets[i + 1]]
        far = boxes.max(axis=0) if len(boxes) else np.ones(4)
        return max(1, int(np.ceil(far[2]))), max(1, int(np.ceil(far[3])))

    def detections_of(self, i: int) -> Detections:
        """What was found in image i, best score first; empty where nothing was, or the image is not done."""
        t, rows = self.detections, self.detections.of(i)
        return Detections(
            t.xyxy[rows], t.scores[rows], t.class_ids[rows], self.image_size(i), t.anchor_ids[rows]
        )

    def annotations(self, i: int) -> Annotations | None:
        """The objects of image i; None where nobody labelled it."""
        if not self.labelled[i]:
            return None
        t, rows = self.truth, slice(self.truth_offsets[i], self.truth_offsets[i + 1])
        flags = {flag: getattr(t, flag)[rows] for flag in FLAGS}
        return Annotations(
            t.xyxy[rows], t.class_ids[rows], self.image_size(i), ids=t.ids[rows], area=t.area[rows], **flags
        )

    def load_image(self, i: int) -> np.ndarray:
        """The upright picture of image i, RGB uint8 [H, W, 3], read now.

        Raises:
            ImageError: it cannot be read, or lives in no file.
        """
        if self._loader is not None:
            return self._loader(i)
        if not self.files[i]:
            raise ImageError(
                f"The picture {self.sample_ids[i]!r} was made in memory, so the stored run cannot show it."
            )
        from detector.data.images import read_image

        return read_image(self.files[i])

    def equals(self, other: Run) -> bool:
        """Same images, truth, detections and failures; where it lies and how long it took do not count."""
        truth = all(
            np.array_equal(getattr(self.truth, c), getattr(other.truth, c), equal_nan=c == "area")
            for c in ("rows", "xyxy", "class_ids", "ids", "area", *FLAGS)
        )
        return (
            truth
            and self.manifest.identity == other.manifest.identity
            and self.class_map == other.class_map
            and self.sample_ids == other.sample_ids
            and self.failed == other.failed
            and self.problems == other.problems
            and np.array_equal(self.sizes, other.sizes)
            and np.array_equal(self.done, other.done)
            and self.detections.equals(other.detections)
        )

    def __repr__(self) -> str:
        return (
            f"Run({self.name!r}, {self.manifest.state}, {int(self.done.sum())} of {len(self)} images,"
            f" {len(self.detections)} detections)"
        )

    def _repr_html_(self) -> str:
        return run_table(self)


@dataclass(frozen=True)
class RunSummary:
    """One line about a run in a folder of runs.

    `state` is the manifest's, or "interrupted" where it says "running" and no process writes it.
    `error` is set, and `manifest` None, where the run cannot be opened.
    """

    path: Path
    manifest: Manifest | None
    state: str
    error: str = ""


def list_runs(root: str | Path) -> list[RunSummary]:
    """The runs in a folder, the newest first; broken ones too, with their error; [] where the folder is
    missing.
    """
    root = Path(root)
    found = [
        summary_of(folder)
        for folder in (sorted(root.iterdir()) if root.is_dir() else [])
        if (folder / "manifest.json").is_file()
    ]
    return sorted(found, key=lambda s: s.manifest.created if s.manifest else "", reverse=True)


def summary_of(folder: Path) -> RunSummary:
    """One line about the run in a folder; a broken one too, with its error."""
    locked = is_locked(folder)  # looked at first: a run writes its end before it lets go
    try:
        manifest = read_manifest(folder)
    except RunError as error:
        return RunSummary(folder, None, "broken", str(error))
    state = (
        "interrupted"
        if manifest.state == "running" and not locked and not is_locked(folder)
        else manifest.state
    )
    return RunSummary(folder, manifest, state)


def open_run(path: str | Path) -> Run:
    """Read a run, finished or not; detections of parts in the making are not seen.

    Raises:
        RunError: there is no run, a file is missing or broken, or a newer Boxscope wrote it.
    """
    path = Path(path)
    manifest = read_manifest(path)
    samples = files.read_table(path / "samples.parquet", files.SAMPLES)
    sample_ids = files.as_texts(samples.column("sample"))
    n = len(sample_ids)
    if n != manifest.dataset.count:
        raise RunError(
            f"The manifest speaks of {manifest.dataset.count} images, samples.parquet holds {n}.", path=path
        )
    stated = files.numbers(samples, "width", "height").astype(np.int32).reshape(n, 2)
    parts = read_parts(path, n)
    done, decoded, errors, detections = parts.done, parts.decoded, parts.errors, parts.detections(0, n)
    failed = {sample_ids[row]: errors[row] for row in sorted(errors)}
    known = done & (decoded > 0).all(axis=1)
    paths = files.as_texts(samples.column("file"))
    truth, problems = fit_truth(
        files.read_truth(path / "truth.parquet"),
        stated,
        np.where(known[:, None], decoded, 0),
        sample_ids,
        paths,
    )
    problems = [*files.read_problems(path / "problems.parquet"), *class_problems(manifest), *problems]
    problems += failures(errors, sample_ids, paths, problems)
    return Run(
        path=path,
        manifest=manifest,
        sample_ids=sample_ids,
        files=paths,
        sizes=np.where(known[:, None], decoded, stated),
        splits=files.as_texts(samples.column("split")),
        labelled=samples.column("labelled").to_numpy(),
        truth=truth,
        detections=detections,
        done=done,
        failed=failed,
        problems=problems,
    )


def failures(
    errors: dict[int, str], sample_ids: Sequence[str], paths: Sequence[str], known: list[Problem]
) -> list[Problem]:
    """A problem for each failed image, unless the data set's reader had found it unreadable before."""
    told = {p.sample_id for p in known if p.kind in ("missing image", "unreadable image", "truncated image")}
    found = []
    for row in sorted(errors):
        kind = "detector failed" if errors[row].startswith(files.DETECTOR_FAILED) else "unreadable image"
        if kind == "detector failed" or sample_ids[row] not in told:
            found.append(Problem(kind, errors[row], paths[row], sample_id=sample_ids[row], left_out=True))
    return found


def class_problems(manifest: Manifest) -> list[Problem]:
    """A problem where the detector knows none of the classes that there are objects of."""
    if manifest.dataset.objects == 0 or any(link.dataset is not None for link in manifest.classes.links):
        return []
    theirs, ours = ", ".join(manifest.detector.class_names[:4]), ", ".join(manifest.classes.names[:4])
    return [
        Problem(
            "no class in common",
            f"The detector ({theirs}, ...) knows none of the data set's classes ({ours}, ...), so every"
            " object is missed.",
        )
    ]
