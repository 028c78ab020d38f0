import json
import random

import pytest

from corpus.config import DataConfig, SourceConfig
from corpus.input_file import InputFile
from corpus.registry import find_reader
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


def _documents_of(file, tokenizer):
    """Decoded documents of a token file; each must end in exactly one <eos>."""
    ids = file.read(0, file.n_tokens).tolist()
    assert ids[-1] == tokenizer.eos_id
    text, documents = [], []
    for i in ids:
        if i == tokenizer.eos_id:
            documents.append(tokenizer.decode(text))
            text = []
        else:
            text.append(i)
    return documents


@pytest.fixture(scope="session")
def documents_of():
    """Texts of the documents of a token file: `documents_of(file, tokenizer)`."""
    return _documents_of


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
        return DataConfig(str(tmp_path / "data"), [source], val_fraction=val_fraction, workers=1)

    return make


@pytest.fixture
def read_raw(tmp_path):
    """What a reader makes of a raw file: `documents, file = read_raw("jsonl", content)`.

    Keywords are those of the source; `name` is the file's.
    """

    def read(reader, content, name="raw", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        file = InputFile(path)
        source = SourceConfig(reader, str(path), **options)
        return list(find_reader(reader).read(file, source)), file

    return read
