import subprocess
import sys

import pytest
from pydantic import Field, ValidationError, field_validator

from detector.config import Config, load_config, parse_config, stable_hash
from detector.errors import ConfigError
from detector.paths import ROOT


class Schedule(Config):
    base: float = Field(gt=0)
    steps: int = 100


class Step(Config):
    name: str


class Recipe(Config):
    name: str
    schedule: Schedule
    steps: tuple[Step, ...] = ()
    seed: int = 0

    @field_validator("seed")
    @classmethod
    def _even(cls, value):
        if value % 2:
            raise ValueError("expected an even seed")
        return value


GOOD = "name: cars\nschedule:\n  base: 0.1\nsteps:\n  - name: warm\n  - name: main\n"


def test_a_good_file():
    recipe = parse_config(GOOD, Recipe)
    assert recipe.schedule.steps == 100 and recipe.steps[1].name == "main"
    with pytest.raises(ValidationError):
        recipe.name = "other"


@pytest.mark.parametrize(
    "text, line, said",
    [
        (GOOD + "sede: 3\n", 7, "sede: unknown key; did you mean 'seed'"),
        (
            GOOD.replace("base: 0.1", "base: 0.1\n  stepz: 3"),
            4,
            "schedule.stepz: unknown key; did you mean 'steps'",
        ),
        (GOOD.replace("base: 0.1", "base: -1"), 3, "schedule.base: input should be greater than 0, got -1"),
        (GOOD.replace("base: 0.1", "steps: 7"), 2, "schedule.base: this key is missing"),
        (GOOD.replace("name: main", "nme: main"), 6, "steps.1.n"),
        (GOOD + "seed: 7\n", 7, "seed: expected an even seed, got 7"),
        (GOOD + "seed: 2\nseed: 4\n", 8, "'seed' is written twice, first in line 7"),
        ("name: cars\n  schedule: [", 2, "expected YAML"),
        ("- a\n- b\n", 1, "found a list"),
        ("name: !!python/object/apply:os.system [x]\n", 1, "expected YAML"),
    ],
)
def test_faults_are_said_with_their_line(tmp_path, text, line, said):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, Recipe)
    assert said in str(caught.value) and caught.value.line == line and str(path) in str(caught.value)


def test_an_empty_or_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="name: this key is missing"):
        parse_config("", Recipe)
    with pytest.raises(ConfigError, match="expected a YAML file"):
        load_config(tmp_path / "no.yaml", Recipe)


def test_hash_is_stable_across_processes_and_follows_values():
    one, two = parse_config(GOOD, Recipe), parse_config(GOOD + "seed: 2\n", Recipe)
    assert stable_hash(one) == stable_hash(parse_config(GOOD, Recipe)) != stable_hash(two)
    code = f"from tests.detector.test_config import *; print(stable_hash(parse_config({GOOD!r}, Recipe)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip() == stable_hash(one)
