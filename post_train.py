"""Train a model further: python post_train.py [--config recipe.yaml] [--plan] [--help].

The recipe's `objective` says how, such as sft for dialogues. `train.init_from` names the model: a
run, a Hugging Face folder or a .gguf file; its shape, tokenizer and chat template are taken over.
--plan only says what the run would do, on what device, how large it is and how long it takes.
"""

from common.errors import UserError, run_main
from recipe import REPO, Recipe
from training.start import start

DEFAULT = REPO / "configs" / "sft-idioms.yaml"


def main() -> int:
    """Train the model of a recipe further, or go on with it."""
    return start(__doc__, DEFAULT, train, show_plan)


def train(recipe: Recipe) -> int:
    """Train until the last step or a signal."""
    check_objective(recipe)
    # MindSpore reads its environment when it is imported.
    from interop.initial import read_initial, with_base_shape
    from training import trainer

    return trainer.train(with_base_shape(recipe), read_initial)


def show_plan(recipe: Recipe) -> int:
    """Say what `train` would do."""
    check_objective(recipe)
    from interop.initial import with_base_shape
    from training import trainer

    return trainer.show_plan(with_base_shape(recipe))


def check_objective(recipe: Recipe) -> None:
    """Refuse recipes that do not train a model further.

    Raises:
        UserError: the recipe pretrains, or names no model.
    """
    if recipe.objective.kind == "pretrain":
        raise UserError(
            "objective.kind is pretrain; run pretrain.py with this recipe, or choose sft"
        )
    if recipe.train.init_from is None:
        raise UserError(
            "train.init_from is null; name the model to train further: a run directory such as "
            "out/demo, a Hugging Face folder or a .gguf file"
        )


if __name__ == "__main__":
    run_main(main)
