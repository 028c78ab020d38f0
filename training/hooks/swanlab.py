"""Records on SwanLab."""

import os

from training.hooks.online import PROJECT, OnlineLogger
from training.hooks.registry import logger


@logger("swanlab", package="swanlab")
class SwanLab(OnlineLogger):
    """A run in the project baby-llama2, or in that of SWANLAB_PROJ_NAME; SWANLAB_MODE has the mode.

    The modes are online, offline and local (shown by `swanlab watch`).
    """

    name = "swanlab"

    def start(self, run, config):
        """Begin or go on with the run; its local files lie in swanlog/ in the run directory."""
        import swanlab

        return swanlab.init(
            project=os.environ.get("SWANLAB_PROJ_NAME", PROJECT),
            experiment_name=run.recipe.name,
            id=self.id,
            resume="allow",
            logdir=str(run.path / "swanlog"),
            config=config,
        )
