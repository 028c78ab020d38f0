"""Records on Weights & Biases."""

import os

from training.hooks.online import PROJECT, OnlineLogger
from training.hooks.registry import logger


@logger("wandb", package="wandb")
class WeightsAndBiases(OnlineLogger):
    """A run in the project baby-llama2, or in that of WANDB_PROJECT; WANDB_MODE has the mode."""

    name = "wandb"

    def start(self, run, config):
        """Begin or go on with the run; its local files lie in wandb/ in the run directory."""
        import wandb

        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.recipe.name,
            id=self.id,
            resume="allow",
            dir=str(run.path),
            config=config,
        )
