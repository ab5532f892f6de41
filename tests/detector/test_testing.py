"""The public contract: docs' example passes it, and detectors that break one rule each fail that rule."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def example() -> tuple[str, str]:
    """The detector and its tests, as docs/detectors.md writes them."""
    text = (ROOT / "docs" / "detectors.md").read_text().partition("## Writing another kind")[2]
    detector, tests = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return detector, tests


def outcome(folder: Path, detector: str, tests: str) -> dict[str, str]:
    """test name -> "PASSED", "FAILED" or "SKIPPED"."""
    file = folder / "test_brightest.py"
    file.write_text(f"{detector}\n\n{tests}")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", "/dev/null", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return dict(re.findall(r"::(test_\w+) (PASSED|FAILED|SKIPPED|ERROR)", done.stdout))


def failures(found: dict[str, str]) -> set[str]:
    assert len(found) == 15
    return {name for name, how in found.items() if how not in ("PASSED", "SKIPPED")}


def test_the_example_of_the_documentation_keeps_the_contract(tmp_path):
    assert failures(outcome(tmp_path, *example())) == set()


@pytest.mark.parametrize(
    ("written", "instead", "broken"),
    [
        ("        check_images(images)\n", "", {"test_refuses_what_is_not_rgb_uint8"}),
        (
            "for image in images]",
            "for image in images[:1] * len(images)]",
            {
                "test_one_entry_an_image_in_its_own_frame",
                "test_batch_equals_singles",
                "test_order_of_the_batch_does_not_matter",
            },
        ),
        ("raise CapabilityError(", "return (", {"test_candidates_as_declared"}),
        (", class_map=self.info.class_map", "", {"test_one_entry_an_image_in_its_own_frame"}),
    ],
)
def test_a_broken_rule_is_found(tmp_path, written, instead, broken):
    detector, tests = example()
    assert written in detector
    assert failures(outcome(tmp_path, detector.replace(written, instead), tests)) == broken


def test_without_pytest_it_says_what_to_install():
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from detector.errors import UnavailableError\n"
        "try:\n    import detector.testing\n"
        "except UnavailableError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install 'boxscope[testing]'" in done.stdout
