"""Scores of documents by a run's perplexity, and which runs are refused."""

import dataclasses
import math
import pickle

import numpy as np
import pytest

from common.errors import UserError
from corpus.config import FilterConfig
from evaluation.perplexity import measure_text
from evaluation.scoring import Scorer
from evaluation.text_scores import SCORERS, open_scorer
from runs.run import Run
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
    with pytest.raises(UserError, match="was trained with objective.kind sft; name a run of pre"):
        SCORERS["perplexity"](FilterConfig(str(run.path)), tuned)
    (tmp_path / "recipe.yaml").write_bytes((run.path / "recipe.yaml").read_bytes())
    with pytest.raises(UserError, match="data.filter.run: .* has no checkpoint yet"):
        open_scorer(FilterConfig(str(tmp_path)))


def test_a_score_needs_no_neighbours_of_its_length(run):
    scorer = open_scorer(FilterConfig(str(run.path)))
    scores = scorer.score(["天气" * n for n in range(1, 40)])
    assert np.isfinite(scores).all() and scores.shape == (39,)
