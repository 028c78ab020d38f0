"""The runs that are served, by name."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chat.template import TEMPLATE_NAME, ChatTemplate
from common.errors import UserError
from evaluation.config import EvalConfig
from generation.batching import Batch
from runs.device import select_device
from runs.run import Run
from tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A run that was loaded."""

    name: str
    tokenizer: Tokenizer
    template: ChatTemplate | None
    """None: the run continues texts and does not chat"""
    batch: Batch
    eval: EvalConfig
    """the settings of the run's recipe, which the page begins with"""
    step: int
    """of the checkpoint"""
    created: int
    """when it was loaded, in seconds since 1970"""

    @property
    def context(self) -> int:
        """Ids that prompt and answer may have together."""
        return self.batch.context


def load_models(
    paths: Sequence[Path], overrides: Sequence[str], slots: int
) -> dict[str, ServedModel]:
    """Load runs on the device that the first one's recipe names, and compile what they need.

    Raises:
        UserError: a folder holds no run or no sound checkpoint, or two runs have the same name.
    """
    models: dict[str, ServedModel] = {}
    for path in paths:
        run = Run.open(path, overrides)
        name = run.path.resolve().name
        if name in models:
            raise UserError(f"two runs are named {name}; rename one of the folders")
        if not models:
            select_device(run.recipe.train.device)
        begin = time.monotonic()
        network = run.load_model(weights=run.recipe.eval.weights)
        tokenizer = run.tokenizer()
        batch = Batch(network, tokenizer, slots)
        batch.warm_up()
        template = None
        if (run.path / TEMPLATE_NAME).is_file():
            template = ChatTemplate.load(run.path, tokenizer)
        step = run.chosen_checkpoint.step
        models[name] = ServedModel(
            name, tokenizer, template, batch, run.recipe.eval, step, int(time.time())
        )
        log.info(
            "%s: %s parameters, step %s, %s slots of %s tokens in %.0f MB, ready in %.1f s",
            name,
            f"{run.recipe.model.n_params():,}",
            f"{step:,}",
            slots,
            batch.context,
            batch.slots.step.cache.nbytes / 1e6,
            time.monotonic() - begin,
        )
    return models
