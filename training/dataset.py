"""Rows of the token file in an order that is a pure function of (seed, epoch)."""

import numpy as np
from mindspore.dataset import GeneratorDataset

from corpus.token_file import TokenFile

COLUMNS = ["tokens", "targets", "loss_weight", "segment_ids"]


def n_rows(n_tokens: int, seq_len: int) -> int:
    """Rows of seq_len + 1 ids with stride seq_len, so that each id but the first is a target once.

    What is left at the end is too short for a row and is not used.
    """
    return (n_tokens - 1) // seq_len


def batch_fields(rows: np.ndarray, eos_id: int) -> tuple[np.ndarray, ...]:
    """Split rows of ids, (..., T + 1), into tokens, targets, loss_weight, segment_ids, (..., T).

    A segment is a document; its <eos> still belongs to it.
    """
    tokens, targets = rows[..., :-1], rows[..., 1:]
    ended = np.cumsum(tokens == eos_id, axis=-1, dtype=np.int32)
    segment_ids = ended - (tokens == eos_id)
    weight = np.ones(tokens.shape, np.float32)
    return tokens, targets, weight, segment_ids.astype(np.int32)


class RowStream:
    """Rows of epoch after epoch without a seam, as one rank of `world` sees them.

    Position p of the stream is row permutation(seed, p // n)[p % n] of a file of n rows. Rank r
    takes positions r, r + world, ...: together the ranks read what one process would, and a run
    is resumed by starting at a later position. A batch may span two epochs, so no row is dropped.
    """

    def __init__(
        self,
        file: TokenFile,
        seq_len: int,
        eos_id: int,
        seed: int,
        start: int,
        length: int,
        rank: int = 0,
        world: int = 1,
    ):
        """`start` counts positions of all ranks; `length` counts rows of this rank."""
        self.file, self.seq_len, self.eos_id, self.seed = file, seq_len, eos_id, seed
        self.start, self.length, self.rank, self.world = start, length, rank, world
        self.n_rows = n_rows(file.n_tokens, seq_len)
        self._epoch, self._permutation = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        """Rows that this rank reads."""
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Fields of one row, each (T,)."""
        begin = self.row(self.start + int(index) * self.world + self.rank) * self.seq_len
        return batch_fields(self.file.read(begin, begin + self.seq_len + 1), self.eos_id)

    def row(self, position: int) -> int:
        """Row of the file at a position of the stream."""
        epoch, index = divmod(position, self.n_rows)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._permutation, self._epoch = rng.permutation(self.n_rows), epoch
        return int(self._permutation[index])


def batches(stream: RowStream, micro_batch: int) -> GeneratorDataset:
    """The stream in micro-batches, each field (micro_batch, T)."""
    # One reading thread keeps the order; a row is a few KB from a memory map.
    rows = GeneratorDataset(
        stream, COLUMNS, shuffle=False, num_parallel_workers=1, python_multiprocessing=False
    )
    return rows.batch(micro_batch, drop_remainder=True)
