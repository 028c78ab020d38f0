"""The tokenizer of a recipe: a given one, or one trained on the corpus until that changes."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common.files import read_json, sha256_file, write_json
from corpus.config import DataConfig
from corpus.progress import Progress
from corpus.sources import Source
from corpus.split import is_held_out
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import MODEL_NAME, Tokenizer, load_tokenizer
from tokenizer.train import train_sentencepiece

# Says what tokenizer.model in the data folder was trained from.
ORIGIN_NAME = "tokenizer_origin.json"


def tokenizer_for(tokenizer: TokenizerConfig, data: DataConfig) -> Tokenizer:
    """Load the tokenizer that the recipe's token files were made with.

    Raises:
        UserError: it does not exist yet, or is not usable.
    """
    return load_tokenizer(tokenizer.kind, tokenizer.path or data.dir, cache=data.dir)


def prepare_tokenizer(
    config: TokenizerConfig, data: DataConfig, sources: Iterable[Source]
) -> Tokenizer:
    """`tokenizer_for`, after training the vocabulary if the recipe leaves that to us.

    Raises:
        UserError: the corpus is too small for so many pieces, or a given file is not usable.
    """
    if config.path is None:
        origin = inputs_key(config, data, sources)
        model_file = Path(data.dir) / MODEL_NAME
        origin_file = Path(data.dir) / ORIGIN_NAME
        if not _is_trained_from(origin, model_file, origin_file):
            print(
                f"training a vocabulary of {config.vocab_size} pieces", file=sys.stderr, flush=True
            )
            with contextlib.closing(_training_texts(data, sources)) as texts:
                train_sentencepiece(texts, config.vocab_size, model_file)
            write_json(origin_file, {"inputs": origin, "sha256": sha256_file(model_file)})
    return tokenizer_for(config, data)


def inputs_key(config: TokenizerConfig, data: DataConfig, sources: Iterable[Source], *more) -> str:
    """Hash of everything that the outcome depends on: recipe sections, raw files, `more`."""
    files: list[Any] = []
    for path in (path for source in sources for path in source.paths):
        status = path.stat()
        files.append((str(path), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps([repr(config), repr(data), files, more]).encode()).hexdigest()


def _is_trained_from(origin: str, model_file: Path, origin_file: Path) -> bool:
    if not (model_file.is_file() and origin_file.is_file()):
        return False
    return read_json(origin_file) == {"inputs": origin, "sha256": sha256_file(model_file)}


def _training_texts(data: DataConfig, sources: Iterable[Source]) -> Iterator[str]:
    """The documents that are not held out: the vocabulary must not know the others."""
    with Progress(sum(source.n_bytes for source in sources), "vocabulary") as progress:
        for source in sources:
            for document in source.documents(progress):
                if not is_held_out(document, data.val_fraction):
                    yield document
