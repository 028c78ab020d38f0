"""Scores of documents by a run's perplexity, and which runs are refused."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

from common.errors import UserError
from corpus import pipeline
from corpus.config import FilterConfig
from corpus.filter_stage import FILTERED_NAME
from evaluation.perplexity import measure_text
from evaluation.scoring import Scorer
from evaluation.text_scores import SCORERS, halves, open_scorer
from rewards.answer import Answer
from rewards.model import RewardModel
from runs.run import Run
from tests.evaluation.cases import make_reward_run, make_run
from tokenizer.config import TokenizerConfig
from training.objectives.config import SftConfig

TEXTS = ["小明在学校读了一本旧书。", "天", "春天，河边下着细雨。" * 12]


def test_a_score_is_that_of_the_text_alone(run):
    scorer = pickle.loads(pickle.dumps(open_scorer(FilterConfig(str(run.path)))))
    together = scorer.score(TEXTS)
    for text, score in zip(TEXTS, together):
        assert scorer.score([text]) == pytest.approx(score, abs=1e-6)
    assert list(scorer.score(TEXTS[::-1])) == pytest.approx(list(together[::-1]), abs=1e-6)
    assert scorer.describe()["step"] == run.chosen_checkpoint.step


def test_it_is_the_loss_without_the_end(run, tmp_path):
    (tmp_path / "text.txt").write_text(TEXTS[0], encoding="utf-8")
    tokenizer = run.tokenizer()
    scorer = Scorer(run.load_model(), tokenizer.eos_id)
    whole = measure_text(scorer, tokenizer, "text", tmp_path / "text.txt", scorer.context)
    (end,) = scorer.continuations([(tokenizer.encode(TEXTS[0]), [tokenizer.eos_id])])
    bits = (whole.nats + end.total) / math.log(2) / len(TEXTS[0].encode())
    (score,) = open_scorer(FilterConfig(str(run.path))).score(TEXTS[:1])
    assert score == pytest.approx(bits, rel=1e-5)


def test_other_weights_have_another_fingerprint(run, tmp_path):
    config = FilterConfig(str(run.path))
    first = open_scorer(config).fingerprint
    assert open_scorer(config).fingerprint == first
    other = dataclasses.replace(run.recipe.model, norm_eps=1e-6)
    changed = Run(run.path, dataclasses.replace(run.recipe, model=other))
    assert SCORERS["perplexity"](config, changed).fingerprint != first


def test_runs_that_do_not_fit(run, tmp_path):
    with pytest.raises(UserError, match="data.filter.run: .*nowhere is not a run directory"):
        open_scorer(FilterConfig(str(tmp_path / "nowhere")))
    data = dataclasses.replace(run.recipe.data, kind="sft")
    tuned = Run(run.path, dataclasses.replace(run.recipe, data=data, objective=SftConfig()))
    with pytest.raises(UserError, match="was trained with objective.kind sft; name a run of obj"):
        SCORERS["perplexity"](FilterConfig(str(run.path)), tuned)
    (tmp_path / "recipe.yaml").write_bytes((run.path / "recipe.yaml").read_bytes())
    with pytest.raises(UserError, match="data.filter.run: .* has no checkpoint yet"):
        open_scorer(FilterConfig(str(tmp_path)))


def test_a_score_needs_no_neighbours_of_its_length(run):
    scorer = open_scorer(FilterConfig(str(run.path)))
    scores = scorer.score(["天气" * n for n in range(1, 40)])
    assert np.isfinite(scores).all() and scores.shape == (39,)


@pytest.fixture(scope="module")
def reward_run(graph_mode, tmp_path_factory):
    return make_reward_run(make_run(tmp_path_factory.mktemp("quality")))


def quality(run, **fields):
    return FilterConfig(str(run.path), kind="reward", **fields)


def test_a_reward_model_judges_a_text_as_an_answer(reward_run):
    scorer = pickle.loads(pickle.dumps(open_scorer(quality(reward_run, prompt="写一句。"))))
    assert not scorer.lowest_is_best and scorer.describe()["prompt"] == "写一句。"
    scores = scorer.score(TEXTS)
    model = RewardModel(reward_run)
    expected = model.score_all([Answer("写一句。", text) for text in TEXTS])
    assert scores[:2] == pytest.approx(expected[:2], abs=1e-5)
    assert abs(scores[0] - scores[1]) > 1e-3 and math.isnan(expected[2]), "too long in one piece"
    for text, score in zip(TEXTS, scores):
        assert scorer.score([text]) == pytest.approx(score, abs=1e-5)
    assert list(scorer.score(TEXTS[::-1])) == pytest.approx(list(scores[::-1]), abs=1e-5)


def test_what_is_too_long_is_the_mean_of_its_parts(reward_run):
    scorer = open_scorer(quality(reward_run))
    paragraphs = ["小明在学校读了一本旧书，春天的河边下着细雨。", "他在公园看见了老师。"]
    together = "\n".join(paragraphs * 2)
    expected = scorer.score(["\n".join(paragraphs)]).item()
    assert scorer.score([together]).item() == pytest.approx(expected, abs=1e-5)


def test_halves_are_whole_lines_where_there_are_some():
    assert halves("一二\n\n三四五六\n") == ("一二\n\n", "三四五六\n")
    assert halves("一二三四五") == ("一二", "三四五")


def test_another_prompt_has_another_fingerprint(reward_run):
    first, again, other = (
        open_scorer(quality(reward_run, **fields)).fingerprint
        for fields in ({}, {}, {"prompt": "写一句。"})
    )
    assert first == again != other


def test_the_same_documents_stay_whatever_the_number_of_workers(reward_run, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "SHARD_BYTES", 8000)
    monkeypatch.setattr("corpus.executors.POOL_BYTES", 0)
    section = TokenizerConfig(path=str(reward_run.path / "tokenizer.model"))
    config, found = quality(reward_run, keep=0.7), []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        fields = {"kind": "text", "dir": str(folder), "workers": workers, "filter": config}
        data = dataclasses.replace(reward_run.recipe.data, **fields)
        report = pipeline.build(section, data, open_scorer(config))
        found.append((report.train.sha256, (folder / FILTERED_NAME).read_bytes()))
    assert found[0] == found[1] and found[0][1].count(b"\n") > 40


def test_what_is_no_reward_model_judges_nothing(run, reward_run):
    with pytest.raises(UserError, match="objective.kind pretrain; name a run of objective.kind re"):
        open_scorer(quality(run))
    with pytest.raises(UserError, match="trained with objective.kind reward; name a run of objec"):
        open_scorer(FilterConfig(str(reward_run.path)))
    with pytest.raises(UserError, match="data.filter.prompt takes .* of the context of 64 of"):
        open_scorer(quality(reward_run, prompt="写一段文字。" * 20))
