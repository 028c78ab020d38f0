"""From raw corpora to token files: read, split, tokenise and write in one stream."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from corpus.config import DataConfig
from corpus.manifest import SPLIT_RULE, Manifest, SourceCounts, manifest_path
from corpus.progress import Progress
from corpus.sources import Source, find_sources
from corpus.split import is_held_out
from corpus.token_file import TRAIN_NAME, VAL_NAME, TokenFile, TokenFileWriter
from corpus.vocabulary import inputs_key, prepare_tokenizer
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import Tokenizer

BATCH_CHARS = 1 << 20


@dataclass(frozen=True)
class Report:
    """What the data step made, or found made already."""

    train: Manifest
    val: Manifest
    up_to_date: bool
    """nothing had changed, so nothing was done"""


class Side:
    """The training or the validation half of the run: its file and what each source gave to it."""

    def __init__(self, path: Path, tokenizer: Tokenizer, sources: list[Source]):
        """Prepare to write the token file `path`."""
        self.path = path
        self.tokenizer = tokenizer
        self.writer = TokenFileWriter(path, tokenizer.vocab_size)
        self.counts = [SourceCounts(source.name) for source in sources]

    def add(self, text: str, ids: list[int], source: int) -> None:
        """Write one document, ended by <eos>."""
        self.writer.write([*ids, self.tokenizer.eos_id])
        counts = self.counts[source]
        counts.documents += 1
        counts.characters += len(text)
        counts.text_bytes += len(text.encode("utf-8"))
        counts.tokens += len(ids) + 1
        counts.unknown += ids.count(self.tokenizer.unk_id)

    def manifest(self, split: str, inputs: str) -> Manifest:
        """The manifest of the finished file."""
        total = sum(self.counts, SourceCounts("all"))
        writer, tokenizer = self.writer, self.tokenizer
        assert total.tokens == writer.tokens, "tokens counted and tokens written differ"
        return Manifest(
            dtype=writer.dtype.name,
            tokens=total.tokens,
            documents=total.documents,
            text_bytes=total.text_bytes,
            characters=total.characters,
            sha256=writer.sha256,
            split=split,
            inputs=inputs,
            tokenizer={
                "kind": tokenizer.kind,
                "fingerprint": tokenizer.fingerprint,
                "vocab_size": tokenizer.vocab_size,
                "eos_id": tokenizer.eos_id,
            },
            sources=self.counts,
        )


def build(tokenizer_config: TokenizerConfig, data: DataConfig) -> Report:
    """Make the token files of a recipe in `data.dir`, unless they are there and up to date.

    Memory does not depend on the size of the corpus. The old files stay whole until both new
    ones are.

    Raises:
        UserError: a source has no file or no document, the corpus is too small for the
            vocabulary or for a validation split, or the disk is full.
    """
    sources = find_sources(data)
    tokenizer = prepare_tokenizer(tokenizer_config, data, sources)
    inputs = inputs_key(tokenizer_config, data, sources, tokenizer.fingerprint)
    train_path, val_path = (Path(data.dir) / name for name in (TRAIN_NAME, VAL_NAME))
    if _is_current(train_path, inputs) and _is_current(val_path, inputs):
        return Report(Manifest.load(train_path), Manifest.load(val_path), up_to_date=True)
    train, val = (Side(path, tokenizer, sources) for path in (train_path, val_path))
    with val.writer, train.writer:
        _write_documents(sources, tokenizer, data.val_fraction, train, val)
        _check_not_empty(train, val, data.val_fraction)
        val.writer.sync()
        train.writer.sync()
    split = SPLIT_RULE.format(data.val_fraction)
    for side in (val, train):
        side.manifest(split, inputs).save(side.path)
    return Report(Manifest.load(train_path), Manifest.load(val_path), up_to_date=False)


def _write_documents(
    sources: list[Source], tokenizer: Tokenizer, val_fraction: float, train: Side, val: Side
) -> None:
    with Progress(sum(source.n_bytes for source in sources), "tokens") as progress:
        for index, source in enumerate(sources):
            for texts in _batches(source.documents(progress)):
                for text, ids in zip(texts, tokenizer.encode_batch(texts)):
                    side = val if is_held_out(text, val_fraction) else train
                    side.add(text, ids, index)
            train.counts[index].skipped = source.skipped


def _check_not_empty(train: Side, val: Side, val_fraction: float) -> None:
    for side, name, change in ((val, "validation", "raise"), (train, "training", "lower")):
        if not side.writer.documents:
            raise UserError(
                f"no document fell to the {name} file with data.val_fraction {val_fraction}; "
                f"{change} data.val_fraction or give more documents"
            )


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    """Lists of documents of about `BATCH_CHARS` characters together."""
    batch: list[str] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _is_current(path: Path, inputs: str) -> bool:
    """Whether the token file stands, in the size and from the inputs that its manifest gives."""
    if not manifest_path(path).is_file():
        return False
    try:
        return TokenFile.open(path).manifest.inputs == inputs
    except UserError:
        return False  # cut, damaged or of another version: make it again
