"""Train a Llama2 on token files: python pretrain.py [--config recipe.yaml] [--plan] [--help].

--plan only says what the run would do, on what device, how large it is and how long it takes.
"""

import sys
import tempfile
from pathlib import Path

from common.errors import run_main
from recipe import Recipe, parse_recipe
from runs.environment import prepare_environment
from training.supervise import supervise, supervises_itself


def main() -> int:
    """Train the model of a recipe, or go on with it."""
    options = [option for option in sys.argv[1:] if option != "--plan"]
    recipe = parse_recipe(options, description=__doc__)
    if "--plan" in sys.argv[1:]:
        return plan(recipe)
    if supervises_itself(recipe):
        return supervise([sys.executable, *sys.argv], recipe)
    prepare_environment(recipe.run_dir)
    # MindSpore reads its environment when it is imported.
    from interop.initial import read_initial
    from training.trainer import train

    return train(recipe, read_initial)


def plan(recipe: Recipe) -> int:
    """Print what `main` would do, and leave no file."""
    with tempfile.TemporaryDirectory() as scratch:
        prepare_environment(Path(scratch))
        from training.trainer import show_plan

        return show_plan(recipe)


if __name__ == "__main__":
    run_main(main)
