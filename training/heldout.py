"""Loss on held-out data, exact over every target of the rows that are read."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from mindspore import Tensor, nn, ops

from training.objectives.base import Objective
from training.parallel import World, all_reduce_sum

Row = tuple[np.ndarray, ...]
"""The columns of a row."""


class Result(Protocol):
    """What a measurement on held-out data found."""

    loss: float
    """lowest for the best model"""
    measures: dict[str, float]
    """other numbers by name"""
    bits_per_byte: float
    """NaN where it is not known"""

    def describe(self) -> str:
        """The numbers in a line."""


class HeldOutMeasure(Protocol):
    """What measures a network on held-out data."""

    def evaluate(self, rows: int = 0) -> Result:
        """Measure on so many rows, spread evenly; 0: on all."""


class Rows(ABC):
    """Numbered rows of held-out data, and what they stand for."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def row(self, index: int) -> Row:
        """The columns of a row."""

    @abstractmethod
    def padding(self) -> Row:
        """Columns of a row that counts nothing; it fills the last batch up."""

    group: int = 1
    """rows that belong together, such as the two of a pair; their number is a multiple of it"""

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text that a token of the denominator stands for; 0: not known."""
        return 0.0


@dataclass(frozen=True)
class HeldOutResult:
    """Summed loss in nats over `tokens` targets, which stand for `text_bytes` bytes of text."""

    nats: float
    tokens: int
    text_bytes: float

    @property
    def loss(self) -> float:
        """Nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(loss); comparable only between models with the same tokenizer."""
        return math.exp(min(self.loss, 700.0))

    @property
    def bits_per_byte(self) -> float:
        """Bits a byte of text, <eos> included; independent of the tokenizer."""
        return self.nats / math.log(2) / self.text_bytes if self.text_bytes else math.nan


@dataclass(frozen=True)
class ObjectiveResult(HeldOutResult):
    """What an objective says of held-out rows."""

    measures: dict[str, float]
    """the objective's measures by name, each a mean"""

    def describe(self) -> str:
        """Loss, measures, and bits a byte where the text is known, in a line."""
        measures = "".join(f"{n.replace('_', ' ')} {v:.3f}  " for n, v in self.measures.items())
        bits = f"  bits/byte {self.bits_per_byte:.3f}" if self.text_bytes else ""
        return f"loss {self.loss:.4f}  {measures}perplexity {self.perplexity:.2f}{bits}"


class _Sums(nn.Cell):
    """An objective's sums as one tensor: (2 + measures,) float32."""

    def __init__(self, objective: Objective):
        super().__init__(auto_prefix=False)
        self.objective = objective

    def construct(self, *batch):
        loss, denominator, measures = self.objective(*batch)
        return ops.stack((loss, denominator, *measures))


class HeldOut:
    """Measures an objective on held-out rows, in batches of fixed shape shared among the ranks."""

    result: type[ObjectiveResult] = ObjectiveResult
    """of what is counted"""

    def __init__(self, objective: Objective, rows: Rows, batch: int, world: World | None = None):
        """`batch` rows are measured at once by each rank of `world`; None: this process alone."""
        self.names, self.sums = objective.measures, _Sums(objective)
        self.rows, self.batch, self.world = rows, batch, world or World()
        self.reduce = all_reduce_sum()

    def evaluate(self, rows: int = 0) -> ObjectiveResult:
        """Loss over `rows` rows spread evenly over all of them; 0: over all."""
        chosen = self._spread(rows)
        rows = len(chosen)
        sums = np.zeros(2 + len(self.names))
        for begin in range(self.world.rank * self.batch, rows, self.world.size * self.batch):
            columns = self._columns(chosen[begin : begin + self.batch])
            sums += self.sums(*map(Tensor, columns)).asnumpy()
        if self.world.size > 1:
            sums = self.reduce(Tensor(sums.astype(np.float32))).asnumpy()
        nats, tokens, *others = map(float, sums)
        measures = {name: value / tokens for name, value in zip(self.names, others)}
        text_bytes = tokens * self.rows.bytes_per_token
        return self.result(nats, int(tokens), text_bytes, measures)

    def _spread(self, rows: int) -> np.ndarray:
        """Numbers of at least `rows` rows in whole groups, evenly over all; 0: of all."""
        group = self.rows.group
        known = len(self.rows) // group
        count = min(-(-rows // group) or known, known)
        first = np.arange(count) * known // count
        return (group * first[:, None] + np.arange(group)).reshape(-1)

    def _columns(self, chosen: Sequence[int]) -> list[np.ndarray]:
        """Columns of a full batch; missing rows count nothing."""
        rows = [self.rows.row(int(index)) for index in chosen]
        rows += [self.rows.padding()] * (self.batch - len(rows))
        return [np.stack(column) for column in zip(*rows)]
