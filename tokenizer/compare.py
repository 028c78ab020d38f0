"""Vocabularies side by side on the same text: `python -m tokenizer.compare --help`."""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError, run_main
from common.tables import format_table
from tokenizer.fetch import fetch_model, is_hub_name
from tokenizer.tokenizer import Tokenizer, load_tokenizer

# Lines encoded together: memory does not grow with the files.
BATCH_LINES = 10_000
HEADER = (
    "tokenizer",
    "pieces",
    "tokens",
    "bytes/token",
    "characters/token",
    "unknown",
    "byte pieces",
    "MB/s",
)


@dataclass
class Comparison:
    """What one vocabulary makes of the text."""

    name: str
    vocab_size: int
    tokens: int = 0
    unknown: int = 0
    """tokens for text that the vocabulary cannot write"""
    byte_pieces: int = 0
    """tokens that stand for one byte of a character that has no piece"""
    text_bytes: int = 0
    characters: int = 0
    seconds: float = 0.0
    """of encoding, on one core"""

    def add(self, lines: Sequence[str], tokenizer: Tokenizer) -> None:
        """Encode some more lines."""
        start = time.process_time()
        encoded = tokenizer.encode_batch(lines, threads=1)
        self.seconds += time.process_time() - start
        for line, ids in zip(lines, encoded):
            self.tokens += len(ids)
            self.unknown += ids.count(tokenizer.unk_id)
            self.byte_pieces += sum(map(tokenizer.byte_ids.__contains__, ids))
            self.text_bytes += len(line.encode("utf-8"))
            self.characters += len(line)


def compare(tokenizers: dict[str, Tokenizer], files: Sequence[str | Path]) -> list[Comparison]:
    """Encode the lines of all `files` with each of the `tokenizers`.

    Raises:
        UserError: a file is missing or is not UTF-8, or there is no text.
    """
    results = [Comparison(name, each.vocab_size) for name, each in tokenizers.items()]
    for lines in _batches(files):
        for result, tokenizer in zip(results, tokenizers.values()):
            result.add(lines, tokenizer)
    if not results[0].tokens:
        raise UserError(f"there is no text in {', '.join(map(str, files))}")
    return results


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        prog="tokenizer.compare",
        description="Compare vocabularies on the same text: how many tokens they take for it.",
    )
    parser.add_argument(
        "--tokenizer",
        nargs="+",
        required=True,
        metavar="NAME=PATH",
        help="a SentencePiece model, a folder that holds tokenizer.model, or the hub name of a "
        "ChatGLM model",
    )
    parser.add_argument("--text", nargs="+", required=True, metavar="FILE", help="UTF-8 text")
    options = parser.parse_args()
    tokenizers = dict(map(_open, options.tokenizer))
    if len(tokenizers) < len(options.tokenizer):
        raise UserError("--tokenizer has the same NAME twice; give each vocabulary its own")
    print(format_table([HEADER, *map(format_row, compare(tokenizers, options.text))]))
    return 0


def _open(argument: str) -> tuple[str, Tokenizer]:
    name, equals, path = argument.partition("=")
    if not (name and equals and path):
        raise UserError(
            f"--tokenizer {argument} is not NAME=PATH, such as mine=data/tokenizer.model"
        )
    if is_hub_name(path):
        path = fetch_model(path, Path("data"))
    return name, load_tokenizer("sentencepiece", path)


def _batches(files: Sequence[str | Path]) -> Iterator[list[str]]:
    """Lines with their line breaks, some thousand at a time."""
    for path in files:
        try:
            with open(path, encoding="utf-8", newline="") as file:
                while lines := list(itertools.islice(file, BATCH_LINES)):
                    yield lines
        except OSError as error:
            raise UserError(
                f"cannot read {path} ({error.strerror}); --text takes files of plain text"
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text; convert it with iconv") from error


def format_row(result: Comparison) -> tuple[str, ...]:
    """The cells of one line of the table, under `HEADER`."""
    return (
        result.name,
        f"{result.vocab_size:,}",
        f"{result.tokens:,}",
        f"{result.text_bytes / result.tokens:.2f}",
        f"{result.characters / result.tokens:.2f}",
        f"{result.unknown / result.tokens:.4%}",
        f"{result.byte_pieces / result.tokens:.2%}",
        f"{result.text_bytes / 1e6 / max(result.seconds, 1e-9):.1f}",
    )


if __name__ == "__main__":
    run_main(main)
