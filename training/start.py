"""What the training entries share: options, a plan, a supervisor, the environment."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common.files import PathLike
from recipe import Recipe, parse_recipe
from runs.environment import prepare_environment
from training.supervise import supervise, supervises_itself

PLAN = "--plan"


def start(
    description: str,
    default: PathLike,
    train: Callable[[Recipe], int],
    show_plan: Callable[[Recipe], int],
) -> int:
    """Do what the command line asks of a training entry, and return its exit status.

    Args:
        description: of the entry, for --help.
        default: the recipe that is taken without --config.
        train: trains the model of a recipe; it may import MindSpore, which reads its environment
            then.
        show_plan: says what `train` would do, and leaves no file.

    Raises:
        UserError: the recipe or an option is wrong, or training is not possible.
    """
    options = [option for option in sys.argv[1:] if option != PLAN]
    recipe = parse_recipe(options, description, default)
    if PLAN in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            prepare_environment(Path(scratch))
            return show_plan(recipe)
    if supervises_itself(recipe):
        return supervise([sys.executable, *sys.argv], recipe)
    prepare_environment(recipe.run_dir)
    return train(recipe)
