"""The process of one training that a page started: `python -m app.jobs.train_job FOLDER`. See `app.jobs.trainings`."""

from __future__ import annotations

import sys
from pathlib import Path

from app.files.roots import inside_roots
from app.jobs.trainings import recipe_file, run_training, say_failed, try_on
from detector.errors import BoxscopeError
from detector.training.recipes import preview_training, read_recipe, training_state


def main() -> int:
    folder = Path(sys.argv[1])
    try:
        recipe = read_recipe(recipe_file(folder))
        found = preview_training(recipe)
        for dataset in found.datasets:
            inside_roots(dataset)
        run_training(recipe, folder, resume=(folder / "recipe.yaml").is_file())
        unseen = [images for images in found.held_out if images.unseen]
        if training_state(folder).get("state") == "done" and unseen:
            try_on(folder, recipe.name, unseen[0])
    except BoxscopeError as error:
        say_failed(folder, error)
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
