"""Rows of a token file, for pretraining."""

import numpy as np

from common.errors import UserError
from corpus.token_file import TokenFile, open_split
from recipe import Recipe
from tokenizer.tokenizer import Tokenizer
from training.feeds.base import Feed, Row, Rows
from training.objectives.cross_entropy import NextToken


def n_rows(n_tokens: int, seq_len: int) -> int:
    """Rows of seq_len + 1 ids with stride seq_len, so that each id but the first is a target once.

    What is left at the end is too short for a row and is not used.
    """
    return (n_tokens - 1) // seq_len


def batch_fields(rows: np.ndarray, eos_id: int) -> Row:
    """Split rows of ids, (..., T + 1), into tokens, targets, loss_weight, segment_ids, (..., T).

    A segment is a document; its <eos> still belongs to it.
    """
    tokens, targets = rows[..., :-1], rows[..., 1:]
    ended = np.cumsum(tokens == eos_id, axis=-1, dtype=np.int32)
    segment_ids = ended - (tokens == eos_id)
    weight = np.ones(tokens.shape, np.float32)
    return tokens, targets, weight, segment_ids.astype(np.int32)


class TokenFeed(Feed):
    """Rows of epoch after epoch without a seam.

    Position p is row permutation(seed, p // n)[p % n] of a file of n rows. A batch may span two
    epochs, so no row is dropped.
    """

    columns = NextToken.columns

    def __init__(self, train: TokenFile, val: TokenFile, seq_len: int, eos_id: int, seed: int):
        """`seq_len` is T; `seed` decides the order.

        Raises:
            UserError: a file is shorter than what it must give.
        """
        self.train, self.seq_len, self.eos_id, self.seed = train, seq_len, eos_id, seed
        self.n_rows = n_rows(train.n_tokens, seq_len)
        if not self.n_rows:
            raise UserError(
                f"{train.path} has {train.n_tokens} tokens, fewer than one row of "
                f"model.max_seq_len + 1 = {seq_len + 1}; add text or lower model.max_seq_len"
            )
        if val.n_tokens < 2:
            raise UserError(f"{val.path} has only {val.n_tokens} token; raise data.val_fraction")
        self.fingerprint, self.epoch_tokens = train.fingerprint, train.n_tokens
        self.held_out = FileRows(val, seq_len, eos_id)
        self._epoch, self._permutation = -1, np.empty(0, np.int64)

    def row(self, position):
        """Columns of the row at a position, each (T,)."""
        begin = self.row_number(position) * self.seq_len
        return batch_fields(self.train.read(begin, begin + self.seq_len + 1), self.eos_id)

    def row_number(self, position: int) -> int:
        """Row of the file at a position."""
        epoch, index = divmod(position, self.n_rows)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._permutation, self._epoch = rng.permutation(self.n_rows), epoch
        return int(self._permutation[index])

    def description(self):
        """How many tokens there are."""
        held_out = self.held_out.file.n_tokens
        return f"{self.epoch_tokens:,} training tokens, {held_out:,} held out"


class FileRows(Rows):
    """All rows of a held-out file in order; what the last one lacks has weight 0."""

    def __init__(self, file: TokenFile, seq_len: int, eos_id: int):
        self.file, self.seq_len, self.eos_id = file, seq_len, eos_id

    def __len__(self):
        """Rows, the last one perhaps not full."""
        return -(-(self.file.n_tokens - 1) // self.seq_len)

    def row(self, index):
        """Columns of a row, each (T,)."""
        begin = index * self.seq_len
        return self._fields(self.file.read(begin, begin + self.seq_len + 1))

    def padding(self):
        """A row of weight 0."""
        return self._fields(np.zeros(1, np.int32))

    @property
    def bytes_per_token(self):
        """Bytes of text a token, by the manifest."""
        manifest = self.file.manifest
        return manifest.text_bytes / manifest.tokens if manifest else 0.0

    def _fields(self, read: np.ndarray) -> Row:
        ids = np.zeros(self.seq_len + 1, np.int32)
        ids[: len(read)] = read
        tokens, targets, weight, segment_ids = batch_fields(ids, self.eos_id)
        weight = weight * (np.arange(self.seq_len) < len(read) - 1)
        return tokens, targets, weight.astype(np.float32), segment_ids


def token_feed(recipe: Recipe, tokenizer: Tokenizer, template: None = None) -> TokenFeed:
    """The feed of a recipe's token files; they know no chat template.

    Raises:
        UserError: a file is missing, damaged, too short, or made with another tokenizer.
    """
    files = open_checked(recipe.data.dir, tokenizer)
    return TokenFeed(*files, recipe.model.max_seq_len, tokenizer.eos_id, recipe.train.seed)


def open_checked(folder: str, tokenizer: Tokenizer) -> tuple[TokenFile, TokenFile]:
    """The training and the held-out file of a data folder, both checked against the tokenizer.

    Raises:
        UserError: a file is missing, damaged, or made with another tokenizer.
    """
    files = open_split(folder)
    for file in files:
        file.check(tokenizer)
    return files
