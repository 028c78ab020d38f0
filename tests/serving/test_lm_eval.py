"""lm-eval's local-completions against the server: the same scores as our own exam path."""

import random

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

from evaluation.lm_eval_model import LlamaLM
from evaluation.scoring import Scorer

TEXT = "小明在学校读书，老师说春天来了。学校里有一棵树，树下有花。天地之间，山高水长。"
N_QUESTIONS = 50


@pytest.fixture(scope="module")
def questions(client):
    """Four endings of a text each, of several lengths, also after an empty context.

    Every fifth time one of them is what the model itself would write.
    """
    rng = random.Random(3)
    made = []
    for number in range(N_QUESTIONS):
        begin = rng.randrange(len(TEXT) - 12)
        context = TEXT[begin : begin + rng.randrange(1, 9)] if number else ""
        endings = ["".join(rng.sample(TEXT, rng.randrange(1, 5))) for _ in range(4)]
        if number % 5 == 1:
            found = client.completions.create(
                model="debug", prompt=context, max_tokens=2, temperature=0
            )
            endings[1] = found.choices[0].text
        made.append((context, endings))
    return made


def instances(questions):
    pairs = [(context, ending) for context, endings in questions for ending in endings]
    return [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]


def test_scores_are_those_of_our_own_exams(server, run, questions, writer):
    lm = LocalCompletionsAPI(
        model="debug",
        base_url=f"{server.address}/v1/completions",
        max_length=64,
        num_concurrent=4,
        max_retries=1,
    )
    ours = LlamaLM(Scorer(run.load_model(), run.tokenizer().eos_id), writer)
    asked = instances(questions)
    theirs, expected = lm.loglikelihood(asked), ours.loglikelihood(asked)
    for (log_prob, greedy), (wanted, is_greedy) in zip(theirs, expected):
        assert log_prob == pytest.approx(wanted, abs=1e-4) and greedy == is_greedy
    best = [max(range(4), key=lambda i: scores[i][0]) for scores in fours(theirs)]
    assert best == [max(range(4), key=lambda i: scores[i][0]) for scores in fours(expected)]
    assert sum(greedy for _, greedy in theirs) >= 3


def fours(values):
    return [values[i : i + 4] for i in range(0, len(values), 4)]
