"""Trained, ChatGLM's and extended vocabularies on real text they have not seen.

`python -m benchmarks.tokenizers CHATGLM_TOKENIZER_MODEL`: a minute.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.real_text import docstrings, idioms, novel, people_daily, reviews
from common.tables import format_table
from tokenizer.compare import HEADER, compare, format_row
from tokenizer.extend import extend
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece

SIZES = (8_000, 16_000, 32_000)
CLOUD_SIZE = 8_000
TRAIN_REVIEWS = 20_000
# Every tenth docstring trains the vocabulary of the field, and some of the others test it.
TRAIN_DOCSTRINGS, TEST_DOCSTRINGS = slice(0, None, 10), slice(5, None, 100)


def main() -> None:
    """Train, extend, and print one table for each of the two test texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chatglm", help="ChatGLM's tokenizer.model")
    chatglm = parser.parse_args().chatglm
    opinions, cloud = list(reviews()), list(docstrings())
    general = [*people_daily(), *idioms(), *novel(), *opinions[:TRAIN_REVIEWS]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {f"general {size:,}": folder / f"{size}.model" for size in SIZES}
        for size, path in zip(SIZES, models.values()):
            train_sentencepiece(general, size, path)
        cloud_model = folder / "cloud.model"
        models |= {f"cloud {CLOUD_SIZE:,}": cloud_model, "chatglm": Path(chatglm)}
        train_sentencepiece(cloud[TRAIN_DOCSTRINGS], CLOUD_SIZE, cloud_model)
        models["chatglm + cloud"] = folder / "extended.model"
        extend(chatglm, cloud_model, models["chatglm + cloud"])
        tokenizers = {name: load_tokenizer("sentencepiece", path) for name, path in models.items()}
        tests = {
            "reviews": unseen(opinions[TRAIN_REVIEWS:], general),
            "docstrings": unseen(cloud[TEST_DOCSTRINGS], cloud[TRAIN_DOCSTRINGS]),
        }
        for title, texts in tests.items():
            file = folder / f"{title}.txt"
            file.write_text("\n".join(texts), encoding="utf-8")
            print(f"\n{title}")
            print(format_table([HEADER, *map(format_row, compare(tokenizers, [file]))]))


def unseen(texts: list[str], train: list[str]) -> list[str]:
    """The texts once each, without those that are in `train` too: both sources repeat a lot."""
    known = set(train)
    return [text for text in dict.fromkeys(texts) if text not in known]


if __name__ == "__main__":
    main()
