"""A trained reward model as a reward: `model:out/reward` gives an answer what that run says of it.

The run is one of `objective.kind` reward: its value head gives a number at the last id of a prompt
with its answer. Numbers of one model compare answers to the same prompt; they have no scale of
their own, and a prompt is the last question alone.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn
from mindspore import dtype as mstype

from chat.messages import ASSISTANT, USER, DialogueError, Message
from chat.template import ChatTemplate
from common.errors import UserError
from corpus.sequence_sums import at_end, sequence_sums
from model.llama import Llama
from rewards.answer import Answer
from runs.device import select_kernels
from runs.run import Run

BATCH = 8
"""Rows that are computed at a time."""


class TokenValues(nn.Cell):
    """Called with tokens and segment_ids, (B, T) int32, returns (B, T) float32: values."""

    def __init__(self, network: Llama):
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, tokens, segment_ids):
        """The value head's number at each token."""
        return self.network.values(self.network(tokens, segment_ids)).reshape(tokens.shape)


class RewardModel:
    """The chosen checkpoint of a run that was trained as a reward model."""

    def __init__(self, run: Run):
        """Load it.

        Raises:
            UserError: the run is of another objective, damaged, or has no checkpoint.
        """
        kind = run.recipe.objective.kind
        if kind != "reward":
            raise UserError(
                f"{run.path} is no reward model: its objective.kind is {kind}; name a run of "
                "objective.kind reward"
            )
        self.tokenizer = run.tokenizer()
        self.template = ChatTemplate.load(run.path, self.tokenizer)
        self.context = run.recipe.model.max_seq_len
        native, _ = select_kernels(run.recipe.train.kernels, mstype.float32)
        self.values = TokenValues(run.load_model(native=native))

    def score_ids(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """The number of each prompt with its answer, (N,) float32; NaN where it is too long."""

        def compute(tokens, _, segment_ids):
            return self.values(Tensor(tokens), Tensor(segment_ids)).asnumpy()

        lengths = np.array([len(ids) for ids in sequences], np.int64)
        return sequence_sums(
            compute, lambda number: at_end(sequences[number]), lengths, self.context,
            self.tokenizer.eos_id, BATCH,
        )  # fmt: skip

    def score_all(self, answers: Sequence[Answer]) -> list[float]:
        """The number of each answer; NaN where nothing is said, or more than the context holds."""
        rendered = [self.ids(answer) for answer in answers]
        known = [ids for ids in rendered if ids is not None]
        found = iter(self.score_ids(known).tolist() if known else [])
        return [math.nan if ids is None else next(found) for ids in rendered]

    def ids(self, answer: Answer) -> np.ndarray | None:
        """Prompt and answer as the model reads them, (n,) int32; None where nothing is said."""
        try:
            said = [Message(USER, answer.prompt), Message(ASSISTANT, answer.completion)]
            return np.array(self.template.render(said)[0], np.int32)
        except DialogueError:
            return None


def load_reward_model(path: str) -> RewardModel:
    """The reward model of a run directory.

    Raises:
        UserError: as `RewardModel`.
    """
    return RewardModel(Run.open(Path(path)))
