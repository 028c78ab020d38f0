"""lm-eval's three kinds of request."""

import sys

import numpy as np
import pytest
from lm_eval.api.instance import Instance

from evaluation.lm_eval_model import Progress, generation_config


def requests(kind: str, *arguments: tuple) -> list[Instance]:
    return [Instance(kind, {}, args, 0) for args in arguments]


def test_log_likelihoods(model):
    found = model.loglikelihood(
        requests("loglikelihood", ("小明在", "学校"), ("", "学校"), ("小明在 ", "学校"))
    )
    ids = [model.split("小明在", "学校"), model.split("", "学校")]
    expected = [likelihood.total for likelihood in model.scorer.continuations(ids)]
    assert [total for total, _ in found[:2]] == pytest.approx(expected)
    assert all(isinstance(greedy, bool) for _, greedy in found)


@pytest.mark.parametrize("pair", [("小明在", "学校"), ("答案：", "A"), ("a ", "b"), ("", "b")])
def test_splitting_loses_nothing(model, pair):
    before, after = model.split(*pair)
    assert model.tokenizer.decode([*before, *after]).replace("▁", " ") == "".join(pair)
    assert after


def test_rolling(model):
    text = "小明在学校读书。" * 30
    ids = np.array(model.tokenizer.encode(text), np.int32)
    assert len(ids) > 2 * model.scorer.context
    (found,) = model.loglikelihood_rolling(requests("loglikelihood_rolling", (text,)))
    scored = model.scorer.text(len(ids), lambda a, b: ids[a:b], model.scorer.context)
    assert found == pytest.approx(sum(float(part.sum()) for part in scored), rel=1e-5)


def test_generation_is_greedy_and_stops(model):
    options = {"until": ["\n\n"], "max_gen_toks": 5}
    kept = model.writer.config
    first, second = model.generate_until(
        requests("generate_until", ("小明", options), ("小明" * 200, options))
    )
    assert first == model.generate_until(requests("generate_until", ("小明", options)))[0]
    assert len(model.tokenizer.encode(first)) <= 5 and isinstance(second, str)
    assert model.writer.config is kept


def test_generation_options():
    greedy = generation_config({"until": "。", "temperature": 0.7}, 30)
    assert (greedy.temperature, greedy.stop, greedy.max_new_tokens) == (0.0, ["。"], 30)
    sampled = generation_config({"do_sample": True, "temperature": 0.7, "max_gen_toks": 9}, 30)
    assert (sampled.temperature, sampled.max_new_tokens, sampled.stop) == (0.7, 9, [])


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys, monkeypatch):
    times = iter([0.0, 10.0, 40.0, 50.0])
    monkeypatch.setattr("evaluation.lm_eval_model.time.monotonic", lambda: next(times))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with Progress("scoring", 9000) as progress:
        for done in (100, 4000, 9000):
            progress.show(done)
    assert capsys.readouterr().err == "scoring: 4,000 of 9,000, 40 s\n"
