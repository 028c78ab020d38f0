"""Continuous batching: a text is the same alone and in company, and places are used again."""

import pytest

from generation.batching import Batch
from generation.decoding import Decoder
from generation.generation import Generation
from generation.request import End, PromptRead, Request
from generation.sampling import Sampling
from generation.writer import Piece
from model.llama import Llama
from tests.model.cases import lively

pytestmark = pytest.mark.usefixtures("graph_mode")

GREEDY = Sampling(temperature=0, max_new_tokens=12)
SAMPLED = Sampling(temperature=1.2, top_k=50, top_p=0.9, repetition_penalty=1.2, max_new_tokens=9)
TEXTS = [
    "小明在学校",
    "",
    "春天",
    "小明在学校读书，老师说",
    "海" * 30,
    "学校里有一棵树",
    "他",
    "天地",
]


@pytest.fixture(scope="module")
def network(run):
    """The debug shape with weights that make texts differ."""
    return lively(Llama(run.recipe.model))


@pytest.fixture(scope="module")
def tokenizer(run):
    return run.tokenizer()


@pytest.fixture(scope="module")
def decoder(network):
    return Decoder(network)


def request(tokenizer, text, sampling=GREEDY, **changes) -> Request:
    fields = {"prompt": tokenizer.encode(text), "end_ids": frozenset([tokenizer.eos_id])}
    return Request(sampling=sampling, **{**fields, **changes})


def run_all(batch, requests, each_step=lambda n: None) -> dict[Request, list]:
    """All events of each request; `each_step` may add or cancel some between steps."""
    events = {r: [] for r in requests}
    for r in requests:
        batch.add(r)
    n = 0
    while batch.busy:
        each_step(n)
        n += 1
        for r, event in batch.step():
            events.setdefault(r, []).append(event)
        assert n < 2000
    return events


def ids_of(events) -> list[int]:
    return [new.token for e in events if isinstance(e, Piece) for new in e.tokens]


def alone(decoder, tokenizer, r: Request) -> list[int]:
    ids = (tokenizer.eos_id, r.end_ids, tokenizer.vocab_size)
    generation = Generation(decoder, [r.prompt], r.sampling, *ids, [r.sample])
    return [new.token for new in generation]


@pytest.mark.parametrize("n_slots", [1, 3, 8])
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_texts_are_those_of_a_generation_alone(network, tokenizer, decoder, n_slots, sampling):
    batch = Batch(network, tokenizer, n_slots)
    requests = [request(tokenizer, text, sampling, sample=i) for i, text in enumerate(TEXTS)]
    found = run_all(batch, requests)
    for r in requests:
        assert ids_of(found[r]) == alone(decoder, tokenizer, r)
        assert isinstance(found[r][0], PromptRead) and isinstance(found[r][-1], End)
