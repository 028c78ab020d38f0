"""Train a Llama2 on token files: python pretrain.py [--config recipe.yaml] [--help]."""

from common.errors import run_main
from recipe import parse_recipe
from training.environment import prepare_environment


def main() -> int:
    """Train the model of a recipe, or go on with it."""
    recipe = parse_recipe(description=__doc__)
    prepare_environment(recipe.run_dir)
    # MindSpore reads its environment when it is imported.
    from interop.initial import read_initial
    from training.trainer import train

    return train(recipe, read_initial)


if __name__ == "__main__":
    run_main(main)
