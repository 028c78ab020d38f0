"""Loss on the held-out file, exact over every token of the rows that are read."""

import math
from dataclasses import dataclass

import numpy as np
from mindspore import Tensor

from corpus.token_file import TokenFile
from model.llama import Llama
from training.dataset import batch_fields
from training.parallel import World, all_reduce_sum


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


class HeldOut:
    """Measures a network on a token file, in batches of fixed shape shared among the ranks."""

    def __init__(
        self,
        network: Llama,
        file: TokenFile,
        eos_id: int,
        batch: int,
        world: World | None = None,
    ):
        """`batch` rows are measured at once by each rank of `world`; None: this process alone."""
        world = world or World()
        self.network, self.file, self.eos_id, self.batch = network, file, eos_id, batch
        self.world, self.reduce = world, all_reduce_sum()
        self.seq_len = network.config.max_seq_len
        self.n_rows = -(-(file.n_tokens - 1) // self.seq_len)

    def evaluate(self, rows: int = 0) -> HeldOutResult:
        """Loss over `rows` rows spread evenly over the file; 0: over the whole file."""
        rows = min(rows or self.n_rows, self.n_rows)
        chosen = np.arange(rows) * self.n_rows // rows
        nats = tokens = 0.0
        for begin in range(self.world.rank * self.batch, rows, self.world.size * self.batch):
            fields = self._fields(chosen[begin : begin + self.batch])
            nats += float(self.network(*(Tensor(field) for field in fields)))
            tokens += float(fields[2].sum())
        if self.world.size > 1:
            sums = self.reduce(Tensor(np.array([nats, tokens], np.float32))).asnumpy()
            nats, tokens = float(sums[0]), float(sums[1])
        manifest = self.file.manifest
        bytes_per_token = manifest.text_bytes / manifest.tokens if manifest else 0.0
        return HeldOutResult(nats, int(tokens), tokens * bytes_per_token)

    def _fields(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Fields of a full batch; what the file or the choice of rows lacks has weight 0."""
        ids = np.zeros((self.batch, self.seq_len + 1), np.int32)
        filled = np.zeros(self.batch, np.int64)
        for i, row in enumerate(rows):
            read = self.file.read(row * self.seq_len, (row + 1) * self.seq_len + 1)
            ids[i, : len(read)], filled[i] = read, len(read) - 1
        tokens, targets, weight, segment_ids = batch_fields(ids, self.eos_id)
        weight = weight * (np.arange(self.seq_len) < filled[:, None])
        return tokens, targets, weight.astype(np.float32), segment_ids
