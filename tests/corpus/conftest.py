import json
import random

import pytest

from corpus.config import DataConfig, SourceConfig
from tokenizer.config import TokenizerConfig
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece

CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜"


def _random_texts(count, seed=0, length=60):
    rng = random.Random(seed)
    return ["".join(rng.choices(CHARACTERS + "，。\n", k=length)).strip() for _ in range(count)]


def _write_jsonl(path, texts):
    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def random_texts():
    """Different short texts, the same each time: `random_texts(count, seed=0, length=60)`."""
    return _random_texts


@pytest.fixture(scope="session")
def write_jsonl():
    """Write texts as the lines of a file: `write_jsonl(path, texts)`."""
    return _write_jsonl


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train_sentencepiece(_random_texts(200), 350, path)
    return load_tokenizer("sentencepiece", path)


@pytest.fixture
def tokenizer_config(tokenizer):
    return TokenizerConfig(path=str(tokenizer.model_file))


@pytest.fixture
def make_data(tmp_path):
    """A data section over one jsonl file of random texts: `make_data(count)`."""

    def make(count=300, val_fraction=0.1, **jsonl):
        raw = tmp_path / "raw.jsonl"
        _write_jsonl(raw, _random_texts(count, **jsonl))
        source = SourceConfig("jsonl", str(raw))
        return DataConfig(str(tmp_path / "data"), [source], val_fraction)

    return make
