"""Files in place of folders, names too long: one sentence, and nothing is lost."""

import shutil
from dataclasses import replace

import pytest

from common.errors import run_main
from corpus import pipeline
from corpus.config import DataConfig, SourceConfig
from corpus.pipeline import build
from tokenizer.config import TokenizerConfig

LONG = "长" * 90
CONFIG = TokenizerConfig(vocab_size=350)


@pytest.fixture
def sentence(capsys):
    """What a build says that ends with status 1: `sentence(config, data)`."""

    def run(config, data):
        with pytest.raises(SystemExit) as end:
            run_main(lambda: build(config, data) and 0)
        said = capsys.readouterr().err
        assert (end.value.code, said.count("\n")) == (1, 1)
        return said

    return run


@pytest.mark.parametrize("below", ["", "x"])
def test_a_file_in_place_of_the_folder(make_data, tmp_path, sentence, below):
    (tmp_path / "f").touch()
    said = sentence(CONFIG, replace(make_data(30), dir=str(tmp_path / "f" / below)))
    assert "Not a directory; a file is where a folder is needed; choose another path" in said


@pytest.mark.parametrize("name", ["work", "val_data.json", "pretrain_data.bin", "tokenizer.model"])
def test_something_in_place_of_what_is_written(make_data, tmp_path, sentence, name):
    data = make_data(300)
    path = tmp_path / "data" / name
    if name == "work":
        path.parent.mkdir()
        path.touch()
    else:
        path.mkdir(parents=True)
    assert name in sentence(CONFIG, data)


def test_names_too_long(make_data, tmp_path, sentence):
    data = make_data(30)
    assert "File name too long" in sentence(CONFIG, replace(data, dir=str(tmp_path / LONG)))
    source = SourceConfig("txt", str(tmp_path / LONG))
    assert "File name too long" in sentence(CONFIG, replace(data, sources=[source]))
    config = TokenizerConfig(path=str(tmp_path / LONG))
    assert "File name too long" in sentence(config, data)


def test_a_folder_that_vanishes_midway(make_data, sentence, monkeypatch):
    data, pack = make_data(300), pipeline.pack

    def pack_without(*arguments):
        shutil.rmtree(data.dir)
        return pack(*arguments)

    monkeypatch.setattr(pipeline, "pack", pack_without)
    said = sentence(CONFIG, data)
    assert data.dir in said and "No such file or directory" in said


def test_no_folder():
    with pytest.raises(ValueError, match=r"data\.dir is empty; it must name a folder"):
        DataConfig("")
