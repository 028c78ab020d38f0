"""The tokenizer of a recipe: a given one, or one trained on what is kept of the corpus."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError
from corpus.config import DataConfig
from corpus.ragged import Ragged
from corpus.shuffle import sampled
from corpus.split import Split
from corpus.stages import TEXT, kept_positions
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import RESERVED_PIECES, Tokenizer, load_tokenizer
from tokenizer.train import least_pieces, train_sentencepiece

# Of a larger corpus, that many times the sample is read, spread over it, to choose the sample from.
READ_SAMPLES = 4


def tokenizer_for(tokenizer: TokenizerConfig, data: DataConfig) -> Tokenizer:
    """Load the tokenizer that the recipe's token files were made with.

    Raises:
        UserError: it does not exist yet, or is not usable.
    """
    if Path(data.dir).is_file():
        raise UserError(f"data.dir is {data.dir}, which is a file; name the folder of the data")
    return load_tokenizer(tokenizer.kind, tokenizer.path or data.dir, cache=data.dir)


def train_vocabulary(
    shards: Sequence[tuple[Path, int, int]],
    removed: Path | None,
    data: DataConfig,
    config: TokenizerConfig,
    model_file: Path,
) -> dict[str, Any]:
    """Train a vocabulary on cleaned shards, each given with first number and size in bytes.

    It knows neither the documents that are `removed` nor text that is held out.

    Raises:
        UserError: the corpus is too small for so many pieces, or has too many characters.
    """
    texts = _texts(shards, removed, data, config)
    sizes = config.vocab_size, model_file, config.sample_bytes
    train_sentencepiece(texts, *sizes, reserved=RESERVED_PIECES)
    return {}


def count_pieces(
    shards: Sequence[tuple[Path, int, int]],
    removed: Path | None,
    data: DataConfig,
    config: TokenizerConfig,
) -> dict[str, Any]:
    """The pieces that the smallest vocabulary has which `train_vocabulary` could train."""
    least = least_pieces(_texts(shards, removed, data, config), config.sample_bytes)
    return {"pieces": least + len(RESERVED_PIECES)}


def _texts(
    shards: Sequence[tuple[Path, int, int]],
    removed: Path | None,
    data: DataConfig,
    config: TokenizerConfig,
) -> Iterator[str]:
    total = sum(n_bytes for _, _, n_bytes in shards)
    share = READ_SAMPLES * config.sample_bytes / max(1, total)
    split = Split.of(data.val_fraction, total)
    return (
        part.decode("utf-8")
        for path, first, _ in shards
        for content in _sample(path, first, removed, share, data.seed)
        for part, held_out in split.parts(content)
        if not held_out
    )


def _sample(
    path: Path, first: int, removed: Path | None, share: float, seed: int
) -> Iterator[bytes]:
    shard = Ragged(path, TEXT)
    kept = kept_positions(removed, first, len(shard))
    for index in kept[sampled(kept + first, share, seed)]:
        yield shard[index].tobytes()
