"""What the stages do to one shard: functions of files and plain values that write files.

They may run in another process or on another machine; what they return are counts for the
done-file. A text shard holds UTF-8 bytes, an id shard of an already tokenised source uint32.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from corpus.cleaning.cleaner import Cleaner
from corpus.config import SourceConfig
from corpus.dedup.outcomes import REMOVED_NAME, kept_documents
from corpus.dedup.signatures import sign_shard
from corpus.input_file import InputFile
from corpus.ragged import Ragged, write_ragged
from corpus.registry import find_reader
from corpus.shuffle import copies, shard_path, write_in_order, write_shuffled
from corpus.split import Split
from tokenizer.tokenizer import Tokenizer

BATCH_BYTES = 1 << 20
TEXT, IDS = np.dtype(np.uint8), np.dtype("<u4")
SPLITS = ("train", "val")
COUNTED = ("documents", "characters", "text_bytes", "tokens", "unknown")


@dataclass(frozen=True)
class Shard:
    """A file of documents of one source, on its way through the stages."""

    source: int
    path: Path
    documents: int
    n_bytes: int
    is_text: bool
    first: int = 0
    """number of its first document in the corpus"""


def read_files(
    source: SourceConfig, paths: list[Path], output: Path, shard_bytes: int, more: int | float
) -> dict[str, Any]:
    """Turn raw files into shards `<output>-000000` ... of about `shard_bytes` each.

    Documents lose the white space around them; empty ones are left out. `more` is what readers of
    ids and of examples ask for: the id of <eos>, or the share of documents held out.

    Raises:
        UserError: the disk is full, or the source asks for something impossible.
    """
    dtype = IDS if find_reader(source.reader).tokens else TEXT
    files = [InputFile(path) for path in paths]
    documents = (found for file in files for found in _documents(file, source, more))
    counts, sizes = [], []
    for batch, n_bytes in batches(documents, shard_bytes):
        items = [np.frombuffer(document, dtype) for document in batch]
        write_ragged(f"{output}-{len(counts):06d}", items, dtype)
        counts.append(len(batch))
        sizes.append(n_bytes)
    return {
        "documents": counts,
        "n_bytes": sizes,
        "skipped": sum(file.skipped for file in files),
        "damaged": [str(file.path) for file in files if file.damaged],
        "reason": next((file.first_reason for file in files if file.first_reason), ""),
    }


def _documents(file: InputFile, source: SourceConfig, more: int | float) -> Iterator[bytes]:
    reader = find_reader(source.reader)
    if reader.tokens:
        for ids in reader.read(file, source, more):
            yield np.asarray(ids, IDS).tobytes()
    elif reader.examples:
        for example in reader.read(file, source, more):
            yield example.to_text().encode("utf-8")
    else:
        for text in reader.read(file, source):
            if document := text.strip():
                yield document.encode("utf-8")


def clean_shard(
    texts: Path, output: Path, rules: list[dict[str, Any]], dedup: str
) -> dict[str, Any]:
    """Write the documents of a text shard as the rules leave them, and their signatures."""
    shard, cleaner = Ragged(texts, TEXT), Cleaner(rules)
    kept = []
    for index in range(len(shard)):
        if cleaned := (cleaner.clean(shard.text(index)) or "").strip():
            kept.append(np.frombuffer(cleaned.encode("utf-8"), TEXT))
    write_ragged(output, kept, TEXT)
    if dedup != "none":
        sign_shard(output, output, near=dedup == "near")
    return {
        "documents": len(kept),
        "text_bytes": sum(map(len, kept)),
        "report": cleaner.report.to_json(),
    }


@dataclass(frozen=True)
class Tokenising:
    """What tokenising needs to know beside the shard."""

    tokenizer: Tokenizer
    split: Split
    weight: float
    seed: int
    n_documents: int
    """of the whole corpus, those that are removed included"""

    @property
    def dtype(self) -> np.dtype:
        """The least type of integer that holds every id."""
        return np.dtype("<u2" if self.tokenizer.vocab_size <= 1 << 16 else "<u4")


def tokenise_texts(
    source: Path, first: int, removed: Path | None, output: tuple[Path, int], options: Tokenising
) -> dict[str, Any]:
    """Write the ids of a text shard, shuffled, without the documents that are `removed`.

    `first` is the number of the shard's first document in the whole corpus, `removed` the folder of
    the removals; `output` is a folder and the number of the shard.

    Raises:
        UserError: an id is outside the vocabulary.
    """
    shard = Ragged(source, TEXT)
    kept = kept_positions(removed, first, len(shard))
    encoded = _Encoded(options)
    for contents, _ in batches(shard.contents(kept.tolist()), BATCH_BYTES):
        parts = [options.split.parts(content) for content in contents]
        texts = [content.decode("utf-8") for document in parts for content, _ in document]
        encoded.add(parts, options.tokenizer.encode_arrays(texts), texts)
    return encoded.write(kept + first, *output)


def tokenise_ids(
    source: Path, first: int, output: tuple[Path, int], options: Tokenising
) -> dict[str, Any]:
    """As `tokenise_texts`, for a shard of ids: they are checked, and decoded to count the text.

    Raises:
        UserError: an id is outside the vocabulary.
    """
    shard = Ragged(source, IDS)
    encoded = _Encoded(options)
    break_id = options.tokenizer.encode("\n")[-1]
    for contents, _ in batches(shard.contents(range(len(shard))), BATCH_BYTES):
        documents = [np.frombuffer(content, IDS) for content in contents]
        parts = [options.split.parts_of_ids(document, break_id) for document in documents]
        ids = [ids for document in parts for ids, _ in document]
        encoded.add(parts, ids, [options.tokenizer.decode(part.tolist()) for part in ids])
    return encoded.write(np.arange(len(shard)) + first, *output)


def kept_positions(removed: Path | None, first: int, count: int) -> np.ndarray:
    """Positions in a shard of `count` documents, numbered from `first`, that stay; ascending."""
    if removed is None:
        return np.arange(count)
    return np.flatnonzero(kept_documents(removed, first, first + count))


def count_removed(folder: Path) -> int:
    """Documents on the list of removals in a folder."""
    return len(np.load(folder / REMOVED_NAME, mmap_mode="r"))


class _Encoded:
    """The documents of a shard as ids, with what is counted of each."""

    def __init__(self, options: Tokenising):
        self.options = options
        self.ids: list[np.ndarray] = []
        self.characters: list[int] = []
        self.n_bytes: list[int] = []
        self.lengths: list[np.ndarray] = []
        self.held_out: list[bool] = []
        self.n_parts: list[int] = []

    def add(
        self,
        documents: list[list[tuple[Any, bool]]],
        parts: list[np.ndarray],
        texts: list[str],
    ) -> None:
        """Add documents, as the split parted them, with the ids and the text of all their parts.

        Each part is ended by <eos>.
        """
        tokenizer = self.options.tokenizer
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        ids = np.full(lengths.sum() + len(lengths), tokenizer.eos_id, parts[0].dtype)
        is_end = np.zeros(len(ids), bool)
        is_end[np.cumsum(lengths + 1) - 1] = True
        ids[~is_end] = np.concatenate(parts)
        if ids.max() >= tokenizer.vocab_size:
            raise UserError(
                f"token id {ids.max()} is outside the {tokenizer.vocab_size} ids of "
                f"{tokenizer.model_file}; the source was tokenised with another tokenizer"
            )
        self.ids.append(ids.astype(self.options.dtype))
        self.characters += map(len, texts)
        self.n_bytes += (len(text.encode("utf-8")) for text in texts)
        self.lengths.append(lengths + 1)
        self.held_out += [held_out for document in documents for _, held_out in document]
        self.n_parts += map(len, documents)

    def write(self, numbers: np.ndarray, folder: Path, shard: int) -> dict[str, Any]:
        """Write both splits of the documents `numbers`.

        Returns the counts of each split, those of training without weights, and those of what was
        held out of documents that were cut.
        """
        options = self.options
        is_cut = np.repeat(np.array(self.n_parts, np.int64) > 1, self.n_parts)
        numbers = np.repeat(numbers, self.n_parts)
        ids = np.concatenate([np.empty(0, options.dtype), *self.ids])
        val = np.array(self.held_out, np.int64)
        lengths = np.concatenate([np.empty(0, np.int64), *self.lengths])
        offsets = np.cumsum(np.append(0, lengths))
        unknown = np.flatnonzero(ids == options.tokenizer.unk_id)
        unknown = np.diff(np.searchsorted(unknown, offsets))
        columns = (np.ones_like(val), self.characters, self.n_bytes, lengths, unknown)
        counts = np.array(columns, np.int64).T
        train = copies(numbers, options.weight, options.seed) * (1 - val)
        result = {"unweighted": (1 - val) @ counts, "whole": is_cut.astype(np.int64) @ counts}
        documents = ids, offsets, numbers
        write_shuffled(shard_path(folder, shard, "train"), *documents, train, options.seed)
        write_in_order(shard_path(folder, shard, "val"), *documents, val, options.n_documents)
        result |= {"train": train @ counts, "val": val @ counts, "cut": (val * is_cut) @ counts}
        return {key: dict(zip(COUNTED, sums.tolist())) for key, sums in result.items()}


def batches(documents: Iterable[bytes], n_bytes: int) -> Iterator[tuple[list[bytes], int]]:
    """Lists of consecutive documents of together about `n_bytes`, each with its size."""
    batch, size = [], 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= n_bytes:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size
