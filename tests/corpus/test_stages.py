import json
from dataclasses import replace

import numpy as np
import pytest

from common.errors import UserError
from corpus.config import SourceConfig
from corpus.pipeline import build
from corpus.split import Split
from corpus.token_file import open_split
from tokenizer.config import TokenizerConfig


def is_held_out(text, val_fraction):
    return Split(val_fraction, 1 << 40).is_held_out(text.encode())


def test_repeated_documents_are_in_neither_file_twice(
    make_data, tokenizer, tokenizer_config, random_texts, write_jsonl, tmp_path, documents_of
):
    texts = random_texts(300)
    held_out = next(text for text in texts if is_held_out(text, 0.1))
    spaced = " ".join(held_out)
    assert not is_held_out(spaced, 0.1)
    data = make_data(300)
    write_jsonl(tmp_path / "raw.jsonl", [*texts, *texts[:50], spaced])
    report = build(tokenizer_config, data)
    train, val = open_split(data.dir)
    assert sorted(documents_of(train, tokenizer) + documents_of(val, tokenizer)) == sorted(texts)
    source = report.train.sources[0]
    assert (source.read, source.cleaned, source.unique) == (351, 351, 300)
    lost = (tmp_path / "data" / "duplicates.jsonl").read_text().splitlines()
    assert len(lost) == 51
    report = build(tokenizer_config, replace(data, dedup="none"))
    assert report.train.sources[0].unique == 351
    assert not (tmp_path / "data" / "duplicates.jsonl").exists()


def test_source_of_repeated_documents_only(make_data, tokenizer_config):
    data = make_data(50)
    with pytest.raises(UserError, match="every document of jsonl .* repeats one of an earlier"):
        build(tokenizer_config, replace(data, sources=data.sources * 2))


def test_cleaning_is_applied_and_reported(make_data, tokenizer, tokenizer_config, tmp_path):
    data = make_data(100)
    with open(tmp_path / "raw.jsonl", "a") as file:
        file.write(json.dumps({"text": "短"}) + "\n")
    rules = [{"rule": "length", "min": 5}]
    report = build(tokenizer_config, replace(data, cleaning=rules))
    source = report.train.sources[0]
    assert (source.read, source.cleaned) == (101, 100)
    assert "100 of 101 documents kept" in (tmp_path / "data" / "cleaning_report.md").read_text()
    (entry,) = json.loads((tmp_path / "data" / "cleaning_report.json").read_text())
    assert entry["rules"][0]["dropped"] == 1
    rules = [{"rule": "length", "min": 5000}]
    with pytest.raises(
        UserError, match=r"dropped all 101 documents of jsonl .*cleaning_report\.md"
    ):
        build(tokenizer_config, replace(data, cleaning=rules))
    with pytest.raises(UserError, match="rule"):
        build(tokenizer_config, replace(data, cleaning=[{"rule": "none"}]))


def test_source_that_is_tokenised_already(make_data, tokenizer, tokenizer_config, tmp_path):
    texts = build(tokenizer_config, make_data(300))
    (tmp_path / "data" / "pretrain_data.bin").rename(tmp_path / "ids.bin")
    source = SourceConfig("token_bin", str(tmp_path / "ids.bin"))
    data = replace(make_data(300), sources=[source], cleaning=[{"rule": "length", "min": 5000}])
    report = build(tokenizer_config, data)
    for file in open_split(data.dir):
        file.check(tokenizer)
    for name in ("documents", "characters", "text_bytes", "tokens"):
        both = getattr(report.train, name) + getattr(report.val, name)
        assert both == getattr(texts.train, name)
    with pytest.raises(UserError, match="is tokenised already; tokenizer.path must name its"):
        build(TokenizerConfig(vocab_size=350), data)
    np.array([5, 349, 350, 2], "<u2").tofile(tmp_path / "ids.bin")
    with pytest.raises(UserError, match="token id 350 is outside the 350 ids of"):
        build(tokenizer_config, data)
