"""Train a Llama2 on token files: python pretrain.py [--config recipe.yaml] [--plan] [--help].

--plan only says what the run would do, on what device, how large it is and how long it takes.
"""

from common.errors import UserError, run_main
from recipe import DEMO, Recipe
from training.start import start


def main() -> int:
    """Train the model of a recipe, or go on with it."""
    return start(__doc__, DEMO, train, show_plan)


def train(recipe: Recipe) -> int:
    """Train until the last step or a signal."""
    check_objective(recipe)
    # MindSpore reads its environment when it is imported.
    from interop.initial import read_initial
    from training import trainer

    return trainer.train(recipe, read_initial)


def show_plan(recipe: Recipe) -> int:
    """Say what `train` would do."""
    check_objective(recipe)
    from training import trainer

    return trainer.show_plan(recipe)


def check_objective(recipe: Recipe) -> None:
    """Refuse recipes of other stages.

    Raises:
        UserError: the recipe trains a model further.
    """
    if recipe.objective.kind != "pretrain":
        raise UserError(
            f"objective.kind is {recipe.objective.kind}, which trains a model further; "
            "run post_train.py with this recipe"
        )


if __name__ == "__main__":
    run_main(main)
