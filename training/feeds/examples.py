"""Rows of example files: dialogues packed whole, for supervised fine-tuning."""

import numpy as np

from chat.template import ChatTemplate
from corpus.example_file import open_examples
from corpus.packed_rows import Augmentation, PackedRows
from recipe import Recipe
from tokenizer.tokenizer import Tokenizer
from training.feeds.base import Feed, Rows
from training.objectives.cross_entropy import NextToken


class DialogueFeed(Feed):
    """Whole dialogues packed into rows, epoch after epoch; the loss is taken on the answers."""

    columns = NextToken.columns

    def __init__(self, train: PackedRows, val: PackedRows):
        """`val` repeats no dialogue and changes none."""
        self.train, self.held_out = train, DialogueRows(val)
        self.fingerprint = train.file.fingerprint
        for dialogues in (train, val):
            dialogues.place(0)  # refuses a context that no dialogue fits
        self.epoch_tokens = train.plan(0).n_rows * train.seq_len

    def row(self, position):
        """Columns of the row at a position, each (T,)."""
        return self.train.row(position)

    def description(self):
        """How many dialogues there are, how full the rows, and what is too long."""
        return f"{self.train.describe()}; held out: {self.held_out.packed.describe()}"


class DialogueRows(Rows):
    """The held-out dialogues, once each."""

    def __init__(self, packed: PackedRows):
        self.packed = packed

    def __len__(self):
        """Rows of the dialogues that fit the context."""
        return self.packed.plan(0).n_rows

    def row(self, index):
        """Columns of a row, each (T,)."""
        return self.packed.row(index)

    def padding(self):
        """A row of weight 0."""
        ids = np.full(self.packed.seq_len, self.packed.pad_id, np.int32)
        return ids, ids, np.zeros(len(ids), np.float32), np.zeros_like(ids)


def dialogue_feed(recipe: Recipe, tokenizer: Tokenizer, template: ChatTemplate) -> DialogueFeed:
    """The feed of a recipe's dialogues.

    Raises:
        UserError: the example files are missing, damaged, made with another tokenizer or
            template, or no dialogue fits the context.
    """
    files = open_examples(recipe.data.dir, "sft")
    for file in files:
        file.check(tokenizer, template)
    seq_len, pad_id, seed = recipe.model.max_seq_len, tokenizer.eos_id, recipe.train.seed
    noise = Augmentation.of(recipe.data)
    train, val = files
    return DialogueFeed(
        PackedRows(train, seq_len, pad_id, seed, noise), PackedRows(val, seq_len, pad_id, seed)
    )
