"""How good a trained run finds documents: the scorers of `data.filter`, by their kind."""

import functools
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import UserError
from corpus.config import FilterConfig
from corpus.filter_stage import TextScorer
from runs.environment import prepare_environment

if TYPE_CHECKING:
    from evaluation.scoring import Scorer
    from runs.run import Run
    from tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Perplexity:
    """Scores a text by its negative log-likelihood under a run, in bits a byte of its UTF-8.

        score = - log2 p(text) / bytes

    The text is read as training saw it begin, after an <eos>, in windows of the run's context: each
    after the first fills its context with the ids before it. Its own end is not predicted. Bytes
    and not tokens are counted, so that runs with different vocabularies can be compared.
    """

    run: Path
    step: int
    """of the checkpoint"""
    fingerprint: str
    unit: str = "bits_per_byte"
    lowest_is_best: bool = True

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Scores (N,) float64 of texts, batched by their length.

        Raises:
            UserError: the run was trained on meanwhile, or its scores are not finite.
        """
        scorer, tokenizer = _open_network(self.run, self.step)
        ids = [found.tolist() for found in tokenizer.encode_arrays(texts)]
        likelihoods = scorer.continuations([([], text) for text in ids])
        nats = np.array([-likelihood.total for likelihood in likelihoods])
        if not np.isfinite(nats).all():
            raise UserError(f"data.filter.run: {self.run} gives scores that are not finite")
        return nats / math.log(2) / [len(text.encode("utf-8")) for text in texts]

    def describe(self) -> dict[str, Any]:
        """The run and what is known of it, for the manifest."""
        return {"run": str(self.run), "step": self.step, "fingerprint": self.fingerprint}


def open_perplexity(config: FilterConfig, run: "Run") -> Perplexity:
    """The scorer of a run that was trained to predict text.

    Raises:
        UserError: it was trained for something else, or has no checkpoint.
    """
    objective = run.recipe.objective.kind
    if objective != "pretrain":
        raise UserError(
            f"data.filter.kind is perplexity, but {run.path} was trained with objective.kind "
            f"{objective}; name a run of pretrain.py"
        )
    return Perplexity(run.path, run.chosen_checkpoint.step, fingerprint_of(run))


# A new kind is a function here, and its name in corpus/config.py.
SCORERS: dict[str, Callable[[FilterConfig, "Run"], TextScorer]] = {"perplexity": open_perplexity}


def open_scorer(config: FilterConfig) -> TextScorer:
    """What `data.filter` names; its network is loaded when it is first asked for a score.

    Raises:
        UserError: there is no such run, it has no checkpoint, or it is of another kind.
    """
    prepare_environment(Path(config.run))
    # MindSpore reads its environment when it is imported.
    from runs.run import Run

    try:
        return SCORERS[config.kind](config, Run.open(config.run))
    except UserError as error:
        message = str(error)
        raise UserError(
            message if message.startswith("data.filter") else f"data.filter.run: {message}"
        ) from error


def fingerprint_of(run: "Run") -> str:
    """Hash of all that a run's scores depend on: weights, their shape and its vocabulary."""
    state = run.chosen_checkpoint.state()
    weights = state["sha256"], state.get("base", {}).get("sha256")
    known = weights, repr(run.recipe.model), repr(run.recipe.adapter), run.tokenizer().fingerprint
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


@functools.lru_cache(maxsize=1)
def _open_network(path: Path, step: int) -> "tuple[Scorer, Tokenizer]":
    prepare_environment(path)
    from mindspore import dtype as mstype

    from evaluation.scoring import Scorer
    from runs.device import select_device, select_kernels
    from runs.run import Run

    run = Run.open(path)
    if run.chosen_checkpoint.step != step:
        raise UserError(
            f"data.filter.run: {path} was at step {step:,} and is at "
            f"{run.chosen_checkpoint.step:,} now; let its training end, and run again"
        )
    select_device(run.recipe.train.device)
    native, _ = select_kernels(run.recipe.train.kernels, mstype.float32)
    network, tokenizer = run.load_model(native=native), run.tokenizer()
    return Scorer(network, tokenizer.eos_id, run.recipe.eval.batch), tokenizer
