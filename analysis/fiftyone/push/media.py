"""Where FiftyOne finds each image: the file itself, or an upright copy where a browser could not show it."""

from __future__ import annotations

from pathlib import Path

from analysis.runs.store import Run
from detector.data.members import find_member
from detector.errors import BoxscopeError

SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif"}


class Media:
    """The files and upright sizes of a run's images.

    Images made in memory or lying inside a record file, and formats that browsers do not show (TIFF, PGM,
    JPEG 2000, ...) get an upright PNG copy in `folder`, written once.

    Args:
        run: a Run.
        folder: for the copies; made when the first is written.
    """

    def __init__(self, run: Run, folder: Path):
        self.run, self.folder = run, folder
        self.copies = 0
        self.problems: list[str] = []

    def size(self, i: int) -> tuple[int, int] | None:
        """(W, H) of the upright image, or None where nobody can tell: its labels are then left out."""
        width, height = (int(v) for v in self.run.sizes[i])
        if width and height:
            return width, height
        if not self.run.files[i]:
            return None
        from detector.data.images import image_size

        try:
            return image_size(self.run.files[i])
        except BoxscopeError as error:
            self.problems.append(
                f"{self.run.sample_ids[i]}: its labels are left out, the image has no known size ({error})"
            )
            return None

    def needs_copy(self, i: int) -> bool:
        """Whether a browser could not show the image's own file."""
        file = self.run.files[i]
        return Path(file).suffix.lower() not in SHOWN_BY_BROWSERS or find_member(file) is not None

    def file(self, i: int) -> str:
        """The absolute path that FiftyOne is given."""
        path = self.run.files[i]
        if not self.needs_copy(i):
            return path
        copy = self.folder / f"{i:08d}.png"
        if copy.exists():
            return str(copy)
        try:
            pixels = self.run.load_image(i)
        except BoxscopeError as error:
            self.problems.append(f"{self.run.sample_ids[i]}: FiftyOne cannot show it ({error})")
            return path or str(copy)
        import cv2

        from detector.paths import write_atomically

        written, content = cv2.imencode(".png", pixels[:, :, ::-1])
        if written:
            write_atomically(copy, content.tobytes())
            self.copies += 1
        return str(copy)
