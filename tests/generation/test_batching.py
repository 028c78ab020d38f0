"""Continuous batching: a text is the same alone and in company, and places are used again."""

import dataclasses
import time

import numpy as np
import pytest

from generation import batching, slots
from generation.batching import Batch
from generation.decoding import Decoder
from generation.generation import Generation
from generation.request import NOT_FINITE, End, PromptRead, Request
from generation.sampling import Sampling
from generation.slot_steps import GraphSlotStep
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


def test_who_comes_and_goes_changes_nothing(network, tokenizer, decoder):
    """One text is written while others join, leave by themselves and are cancelled."""
    batch = Batch(network, tokenizer, 3)
    first = request(tokenizer, "小明在学校", dataclasses.replace(GREEDY, max_new_tokens=40))
    others = [request(tokenizer, text, SAMPLED, sample=i) for i, text in enumerate(TEXTS)]
    cancelled = [request(tokenizer, "春天" * 9) for _ in range(4)]

    def each_step(n):
        if n % 3 == 1 and n < 22:
            batch.add(others[n // 3])
        if n % 5 == 2 and n < 20:
            batch.add(cancelled[n // 5])
        if n % 5 == 4 and n < 20:
            batch.cancel(cancelled[n // 5])

    events = run_all(batch, [first], each_step)
    for r in [first, *others[:7]]:
        assert ids_of(events[r]) == alone(decoder, tokenizer, r)
    assert not any(isinstance(e, End) for r in cancelled for e in events.get(r, []))
    assert not any(slot.taken for slot in batch.slots.slots)


def test_a_long_prompt_holds_nobody_up(network, tokenizer, monkeypatch):
    monkeypatch.setattr(batching, "PROMPT_ROWS", 4)
    batch = Batch(network, tokenizer, 2)
    writing = request(tokenizer, "他", dataclasses.replace(GREEDY, max_new_tokens=30))
    batch.add(writing)
    batch.step()
    reading = request(tokenizer, "海天" * 12)
    batch.add(reading)
    steps = 0
    while reading not in dict(events := batch.step()):
        assert [r for r, event in events if isinstance(event, Piece)] in ([writing], [])
        steps += 1
    # The <eos> that begins it is cached.
    assert steps + 1 == len(reading.prompt) // 4


def test_a_shared_beginning_is_read_once(network, tokenizer, decoder):
    batch = Batch(network, tokenizer, 4)
    system = "小明在学校读书，老师说春天来了。学校里有一棵树"
    requests = [request(tokenizer, system + text) for text in ("。", "，", "小", "天")]
    events = run_all(batch, requests)
    cached = [events[r][0].cached for r in requests]
    n_shared = len(tokenizer.encode(system))
    assert cached[0] == 0 and all(n >= n_shared for n in cached[1:])
    # It is copied while the first one is still written, and lasts when all have ended.
    again = request(tokenizer, system + "明")
    assert run_all(batch, [again])[again][0].cached >= n_shared
    for r in [*requests, again]:
        found = events.get(r) or run_all(batch, [r])[r]
        assert ids_of(found) == alone(decoder, tokenizer, r)


def test_log_probabilities_of_prompt_and_text(network, tokenizer):
    batch = Batch(network, tokenizer, 2)
    scored = request(tokenizer, "小明在学校", n_likely=2, score_prompt=True)
    events = run_all(batch, [scored])[scored]
    written = ids_of(events)
    whole = [*scored.prompt, *written]
    rescored = request(tokenizer, "", prompt=whole, n_likely=2, score_prompt=True)
    again = run_all(batch, [rescored])[rescored][0].tokens
    streamed = [
        *events[0].tokens,
        *(new for e in events if isinstance(e, Piece) for new in e.tokens),
    ]
    assert [new.token for new in again] == whole == [new.token for new in streamed]
    for a, b in zip(streamed, again):
        assert a.log_prob == b.log_prob and a.likely == b.likely
        assert [p for _, p in a.likely] == sorted((p for _, p in a.likely), reverse=True)
    # Ids that bring the document's start with them are the same text; the start has nothing before.
    ids = [tokenizer.eos_id, *whole]
    started = request(tokenizer, "", prompt=ids, n_likely=2, score_prompt=True)
    first, *rest = run_all(batch, [started])[started][0].tokens
    assert first.log_prob is None and [new.log_prob for new in rest] == [
        new.log_prob for new in again
    ]


def test_reasons_to_end(network, tokenizer, decoder):
    batch = Batch(network, tokenizer, 2)
    free = request(tokenizer, "小明在学校", dataclasses.replace(GREEDY, max_new_tokens=8))
    ids = alone(decoder, tokenizer, free)
    text = tokenizer.decode(ids)
    cases = {
        "max_new_tokens": free,
        "<eos>": request(tokenizer, "小明在学校", end_ids=frozenset([ids[3]])),
        repr(text[3:5]): request(tokenizer, "小明在学校", stops=[text[3:5]]),
        "context": request(
            tokenizer, "", dataclasses.replace(GREEDY, max_new_tokens=99), prompt=[5] * 50
        ),
        "time": request(tokenizer, "小明", deadline=time.monotonic() - 1),
    }
    events = run_all(batch, list(cases.values()))
    assert {reason: events[r][-1].reason for reason, r in cases.items()} == {r: r for r in cases}
    assert ids_of(events[cases["<eos>"]]) == ids[: ids.index(ids[3])]
    shown = "".join(e.text for e in events[cases[repr(text[3:5])]] if isinstance(e, Piece))
    assert shown == text[: text.index(text[3:5])]
    assert events[cases["context"]][-1].tokens == batch.context - 1 - 50
    with pytest.raises(ValueError, match="has room for 62"):
        batch.add(request(tokenizer, "", prompt=[5] * 63))


def test_a_text_of_a_model_that_diverged_ends_alone(run, tokenizer):
    network = lively(Llama(run.recipe.model))
    network.embedding.asnumpy()[7] = np.nan
    batch = Batch(network, tokenizer, 2)
    requests = [request(tokenizer, "", prompt=[7, 8]), request(tokenizer, "", prompt=[8, 9])]
    events = run_all(batch, requests)
    assert [events[r][-1].reason for r in requests] == [NOT_FINITE, NOT_FINITE]


def test_documents_apart(run, tokenizer):
    """Where attention is masked across documents, the start is read by an empty text only."""
    network = lively(Llama(dataclasses.replace(run.recipe.model, document_mask=True)))
    batch, decoder = Batch(network, tokenizer, 3), Decoder(network)
    requests = [request(tokenizer, text) for text in ("小明", "", "春天来了", "")]
    events = run_all(batch, requests)
    for r in requests:
        assert ids_of(events[r]) == alone(decoder, tokenizer, r)


def test_graphs_do_the_same(network, tokenizer, decoder, monkeypatch):
    """As on other devices: a few numbers of rows, a spare slot, and slots copied whole."""
    monkeypatch.setattr(slots, "on_cpu", lambda: False)
    batch = Batch(network, tokenizer, 2)
    assert isinstance(batch.slots.step, GraphSlotStep)
    system = "小明在学校读书，老师说春天来了。学校里有一棵树"
    requests = [request(tokenizer, text) for text in ("小明", system, system + "春天", "")]
    events = run_all(batch, requests)
    for r in requests:
        assert ids_of(events[r]) == alone(decoder, tokenizer, r)
    assert events[requests[2]][0].cached > 16
    assert len(batch.slots.step.steps) <= 4
