"""How good a trained run finds documents: the scorers of `data.filter`, by their kind."""

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chat.messages import USER, Message
from chat.template import ChatTemplate
from common.errors import UserError
from corpus.config import FilterConfig
from corpus.filter_stage import TextScorer
from rewards.answer import Answer
from runs.environment import prepare_environment

if TYPE_CHECKING:
    from evaluation.scoring import Scorer
    from rewards.model import RewardModel
    from runs.run import Run
    from tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class RunScorer:
    """What scorers by a trained run share; each is sent to where the work is done."""

    run: Path
    step: int
    """of the checkpoint"""
    fingerprint: str

    def finite(self, scores: np.ndarray) -> np.ndarray:
        """The scores as they are.

        Raises:
            UserError: one is not finite.
        """
        if not np.isfinite(scores).all():
            raise UserError(f"data.filter.run: {self.run} gives scores that are not finite")
        return scores

    def describe(self) -> dict[str, Any]:
        """The run and what is known of it, for the manifest."""
        return {"run": str(self.run), "step": self.step, "fingerprint": self.fingerprint}


@dataclass(frozen=True)
class Perplexity(RunScorer):
    """Scores a text by its negative log-likelihood under a run, in bits a byte of its UTF-8.

        score = - log2 p(text) / bytes

    The text is read as training saw it begin, after an <eos>, in windows of the run's context: each
    after the first fills its context with the ids before it. Its own end is not predicted. Bytes
    and not tokens are counted, so that runs with different vocabularies can be compared.
    """

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
        nats = self.finite(np.array([-likelihood.total for likelihood in likelihoods]))
        return nats / math.log(2) / [len(text.encode("utf-8")) for text in texts]


@dataclass(frozen=True)
class Quality(RunScorer):
    """Scores a text by the number that a reward model gives it as the answer to a prompt.

    A text that does not fit the model's context with the prompt is halved, between the paragraphs
    nearest its middle or else in the middle, until its parts fit; its score is their mean.
    """

    prompt: str
    unit: str = "reward"
    lowest_is_best: bool = False

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Scores (N,) float64 of texts.

        Raises:
            UserError: the run was trained on meanwhile, or its scores are not finite.
        """
        model = _open_reward_model(self.run, self.step)
        parts = [list(self._parts(model, text)) for text in texts]
        found = model.score_ids([ids for of_text in parts for ids in of_text])
        found = self.finite(found.astype(np.float64))
        ends = np.cumsum([len(of_text) for of_text in parts])
        return np.array([part.mean() for part in np.split(found, ends[:-1])])

    def _parts(self, model: "RewardModel", text: str) -> Iterator[np.ndarray]:
        ids = model.ids(Answer(self.prompt, text))
        if ids is not None and len(ids) <= model.context:
            yield ids
        elif ids is not None:
            for half in halves(text):
                yield from self._parts(model, half)

    def describe(self) -> dict[str, Any]:
        """The run, what is known of it, and the prompt, for the manifest."""
        return super().describe() | {"prompt": self.prompt}


def halves(text: str) -> tuple[str, str]:
    """A text of two characters or more cut at the line's end nearest its middle, or there."""
    middle = len(text) // 2
    ends = [found.end() for found in re.finditer(r"\n+", text) if found.end() < len(text)]
    cut = min(ends, key=lambda end: abs(end - middle), default=middle)
    return text[:cut], text[cut:]


def open_quality(config: FilterConfig, run: "Run") -> Quality:
    """The scorer of a run that was trained as a reward model.

    Raises:
        UserError: it was trained for something else, has no checkpoint, or a context that the
            prompt takes more than half of.
    """
    _check_objective(config, run, "reward")
    template, context = ChatTemplate.load(run.path, run.tokenizer()), run.recipe.model.max_seq_len
    n_prompt = len(template.prompt_ids([Message(USER, config.prompt)]))
    if 2 * n_prompt > context:
        raise UserError(
            f"data.filter.prompt takes {n_prompt} ids of the context of {context} of {run.path}, "
            "more than half; shorten it"
        )
    known = json.dumps([fingerprint_of(run), template.fingerprint, config.prompt])
    fingerprint = hashlib.sha256(known.encode()).hexdigest()
    return Quality(run.path, run.chosen_checkpoint.step, fingerprint, config.prompt)


def open_perplexity(config: FilterConfig, run: "Run") -> Perplexity:
    """The scorer of a run that was trained to predict text.

    Raises:
        UserError: it was trained for something else, or has no checkpoint.
    """
    _check_objective(config, run, "pretrain")
    return Perplexity(run.path, run.chosen_checkpoint.step, fingerprint_of(run))


# A new kind is a function here, and its name in corpus/config.py.
SCORERS: dict[str, Callable[[FilterConfig, "Run"], TextScorer]] = {
    "perplexity": open_perplexity,
    "reward": open_quality,
}


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


def _check_objective(config: FilterConfig, run: "Run", needed: str) -> None:
    objective = run.recipe.objective.kind
    if objective != needed:
        raise UserError(
            f"data.filter.kind is {config.kind}, but {run.path} was trained with objective.kind "
            f"{objective}; name a run of objective.kind {needed}"
        )


@functools.lru_cache(maxsize=1)
def _open_network(path: Path, step: int) -> "tuple[Scorer, Tokenizer]":
    run = _open_run(path, step)
    from mindspore import dtype as mstype

    from evaluation.scoring import Scorer
    from runs.device import select_kernels

    native, _ = select_kernels(run.recipe.train.kernels, mstype.float32)
    network, tokenizer = run.load_model(native=native), run.tokenizer()
    return Scorer(network, tokenizer.eos_id, run.recipe.eval.batch), tokenizer


@functools.lru_cache(maxsize=1)
def _open_reward_model(path: Path, step: int) -> "RewardModel":
    run = _open_run(path, step)
    from rewards.model import RewardModel

    return RewardModel(run)


def _open_run(path: Path, step: int) -> "Run":
    """A run whose scores were announced at a step, its device selected."""
    prepare_environment(path)
    from runs.device import select_device
    from runs.run import Run

    run = Run.open(path)
    if run.chosen_checkpoint.step != step:
        raise UserError(
            f"data.filter.run: {path} was at step {step:,} and is at "
            f"{run.chosen_checkpoint.step:,} now; let its training end, and run again"
        )
    select_device(run.recipe.train.device)
    return run
