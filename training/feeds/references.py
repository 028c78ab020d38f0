"""What a reference model says of the answers of pairs, computed once and kept beside them.

A file `reference_<digest>.safetensors` holds a table for each split, (N, 2): the log-probabilities
of the chosen and the rejected answers, each a sum over ids. Its name is a hash of the reference's
weights, of the network's shape and of the example files, so no other is ever taken for it.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mindspore import Tensor
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from chat.template import ANSWER
from common.errors import UserError
from common.files import atomic_open
from corpus.example_file import ExampleFile
from corpus.packed_rows import next_is
from corpus.sequence_sums import sequence_sums
from model.config import ModelConfig
from recipe import Recipe
from training.feeds.scorer import TargetLogProbs
from training.initial import Reference
from training.parallel import World, values_of_all

log = logging.getLogger(__name__)


def reference_log_probs(
    recipe: Recipe,
    files: Sequence[ExampleFile],
    reference: Reference,
    pad_id: int,
    world: World,
) -> list[np.ndarray]:
    """The table of each file, (N, 2) float32 in nats; NaN where an answer is too long.

    The first rank computes and writes them, unless they are there.

    Raises:
        UserError: the file is damaged, or the disk is full.
    """
    path = reference_path(files, reference.fingerprint, recipe.model)
    if world.rank == 0 and not path.is_file():
        begin = time.perf_counter()
        cell, batch = TargetLogProbs(reference.network), recipe.train.micro_batch
        tables = [answer_log_probs(cell, f, recipe.model.max_seq_len, pad_id, batch) for f in files]
        with atomic_open(path) as written:
            written.write(save({file.split: table for file, table in zip(files, tables)}))
        log.info(
            f"reference: log-probabilities of {2 * sum(map(len, tables)):,} answers, "
            f"{time.perf_counter() - begin:.0f} s, kept in {path}"
        )
    values_of_all(0, world)  # the others wait for the file
    return read_tables(path, files)


def reference_path(files: Sequence[ExampleFile], fingerprint: str, model: ModelConfig) -> Path:
    """Where what a reference says of example files stands."""
    known = repr([fingerprint, model, *(file.fingerprint for file in files)])
    digest = hashlib.sha256(known.encode()).hexdigest()
    return files[0].folder / f"reference_{digest[:16]}.safetensors"


def read_tables(path: Path, files: Sequence[ExampleFile]) -> list[np.ndarray]:
    """The table of each file.

    Raises:
        UserError: it cannot be read, or is not of these files.
    """
    try:
        tables = load_file(path)
        found = [tables[file.split] for file in files]
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it, and it is made anew") from error
    if any(table.shape != (file.n_examples, 2) for table, file in zip(found, files)):
        raise UserError(f"{path} is of other pairs; delete it, and it is made anew")
    return found


def answer_log_probs(
    cell: TargetLogProbs, file: ExampleFile, seq_len: int, pad_id: int, batch: int
) -> np.ndarray:
    """Sums of the log-probabilities of the answers of pairs, (N, 2) float32 in nats."""

    def compute(*columns):
        return cell(*map(Tensor, columns)).asnumpy()

    def read(number: int):
        ids, kinds = file.kinds(number // 2)[number % 2]
        return ids, next_is(kinds == ANSWER)

    lengths = file.lengths().reshape(-1)
    return sequence_sums(compute, read, lengths, seq_len, pad_id, batch).reshape(-1, 2)
