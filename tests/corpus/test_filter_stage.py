"""The quality filter, with a scorer that counts characters in place of a model."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import corpus.pipeline as pipeline
from common.errors import UserError
from corpus.config import DataConfig, FilterConfig, SourceConfig
from corpus.filter_stage import FILTERED_NAME
from corpus.pipeline import build
from corpus.split import is_held_out
from corpus.token_file import open_split
from recipe import load_recipe
from tests.evaluation.cases import REPO

SCORED = []


@dataclass(frozen=True)
class Counter:
    """The share of a character: many ties, and nothing to compute."""

    fingerprint: str = "a"
    unit: str = "share"
    lowest_is_best: bool = True

    def score(self, texts):
        SCORED.append(len(texts))
        return np.array([text.count("天") / len(text) for text in texts])

    def describe(self):
        return {"fingerprint": self.fingerprint}


@pytest.fixture
def filtered(make_data, tokenizer_config):
    """Build the random texts with a filter: `filtered(keep)` returns data section and report."""
    data = make_data(200)

    def make(keep, scorer=Counter(), **fields):
        part = {name: fields.pop(name) for name in ("per_source",) if name in fields}
        section = dataclasses.replace(
            data, filter=FilterConfig("out/x", keep=keep, **part), **fields
        )
        return section, build(tokenizer_config, section, scorer)

    return make


def texts_of(data, tokenizer, documents_of):
    return [documents_of(file, tokenizer) for file in open_split(data.dir)]


def test_the_worst_go_and_the_held_out_stay(filtered, tokenizer, random_texts, documents_of):
    data, report = filtered(0.6)
    trained, held_out = texts_of(data, tokenizer, documents_of)
    share = {text: round(text.count("天") / len(text), 6) for text in random_texts(200)}
    expected_held_out = [t for t in share if is_held_out(t.encode(), data.val_fraction)]
    candidates = [text for text in share if text not in expected_held_out]
    # Python's sort is stable: of equal scores the first stay.
    best = sorted(candidates, key=share.get)[: round(0.6 * len(candidates))]
    assert sorted(trained) == sorted(best) and sorted(held_out) == sorted(expected_held_out)
    lines = (Path(data.dir) / FILTERED_NAME).read_text(encoding="utf-8").splitlines()
    gone = [json.loads(line) for line in lines]
    assert len(gone) == len(candidates) - len(best) == report.train.sources[0].filtered
    by_head = {text[:40]: text for text in candidates}
    assert {by_head[line["begins"]] for line in gone} == set(candidates) - set(best)
    assert all(line["share"] == share[by_head[line["begins"]]] for line in gone)
    assert report.train.scored_by == {"fingerprint": "a"}
    (record,) = json.loads((Path(data.dir) / "cleaning_report.json").read_text(encoding="utf-8"))
    (rule,) = record["rules"]
    assert (rule["documents"], rule["dropped"]) == (len(candidates), len(gone))
    assert rule["name"] == "filter kind=perplexity run=out/x keep=0.6"


def test_workers_and_shards_change_nothing(filtered, tokenizer_config, monkeypatch):
    _, whole = filtered(0.5)
    monkeypatch.setattr(pipeline, "SHARD_BYTES", 2000)
    monkeypatch.setattr("corpus.executors.POOL_BYTES", 0)
    _, pieces = filtered(0.5, Counter("b"), workers=2)
    assert not pieces.up_to_date
    assert (pieces.train.sha256, pieces.val.sha256) == (whole.train.sha256, whole.val.sha256)


def test_scores_are_kept_for_another_share_and_made_anew_for_another_run(filtered):
    SCORED.clear()
    filtered(0.5)
    assert sum(SCORED) == 200
    _, again = filtered(0.5)
    _, wider = filtered(0.9)
    assert sum(SCORED) == 200 and again.up_to_date and not wider.up_to_date
    _, other = filtered(0.9, Counter("b"))
    assert sum(SCORED) == 400 and not other.up_to_date
    assert other.train.sha256 == wider.train.sha256


def test_the_share_is_of_each_source_or_of_all(
    tmp_path, write_jsonl, tokenizer_config, random_texts
):
    texts = random_texts(300)
    bad = ["天" + text for text in texts[:150]]
    write_jsonl(tmp_path / "good.jsonl", [text.replace("天", "地") for text in texts[150:]])
    write_jsonl(tmp_path / "bad.jsonl", bad)
    sources = [SourceConfig("jsonl", str(tmp_path / name)) for name in ("good.jsonl", "bad.jsonl")]
    config = FilterConfig("out/x", keep=0.5)
    data = DataConfig(str(tmp_path / "data"), sources, val_fraction=0.1, workers=1, filter=config)
    report = build(tokenizer_config, data, Counter())
    for source in report.train.sources:
        assert source.documents == pytest.approx(source.filtered, abs=1) and source.filtered > 60
    together = dataclasses.replace(data, filter=dataclasses.replace(config, per_source=False))
    report = build(tokenizer_config, together, Counter())
    good, rest = report.train.sources
    assert good.filtered == 0 and rest.filtered > 120
    all_gone = dataclasses.replace(config, per_source=False, keep=0.01)
    with pytest.raises(UserError, match="data.filter dropped every document of jsonl .*bad.jsonl"):
        build(tokenizer_config, dataclasses.replace(data, filter=all_gone), Counter())


def test_repeats_are_gone_before(tmp_path, write_jsonl, tokenizer_config, random_texts):
    texts = random_texts(100)
    write_jsonl(tmp_path / "raw.jsonl", texts * 2)
    source = SourceConfig("jsonl", str(tmp_path / "raw.jsonl"))
    config = FilterConfig("out/x", keep=0.5)
    data = DataConfig(str(tmp_path / "data"), [source], val_fraction=0.1, workers=1, filter=config)
    (found,) = build(tokenizer_config, data, Counter()).train.sources
    assert (found.read, found.unique) == (200, 100)
    assert 40 < found.filtered and abs(found.filtered - found.documents) <= 1


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--data.filter", "{run: out/x, keep: 0}"], r"data.filter.keep is 0.0; it must lie in"),
        (["--data.filter", "{run: out/x, keep: 1.1}"], r"must lie in \(0, 1\]"),
        (["--data.filter", "{keep: 0.5}"], "data.filter.run is missing"),
        (["--data.filter", "{run: ''}"], "data.filter.run is empty"),
        (["--data.filter", "{run: out/x, kind: length}"], "data.filter.kind is length"),
        (["--data.filter", "{run: x, kind: reward, prompt: ' '}"], "data.filter.prompt is empty"),
        (["--data.filter", "{run: x}", "--data.kind", "sft", "--objective.kind", "sft"], "is for"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        load_recipe(REPO / "configs" / "debug.yaml", options)
