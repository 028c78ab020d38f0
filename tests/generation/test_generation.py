"""The loop's reasons to stop, and rows that do not touch each other, on scripted scores."""

from dataclasses import replace

import numpy as np
import pytest

from generation.generation import Generation
from generation.sampling import Sampling

EOS, VOCAB = 0, 8
GREEDY = Sampling(temperature=0)


class ScriptedDecoder:
    """Scores that prefer the ids of each row's script in turn, then <eos>; remembers its food."""

    def __init__(self, *scripts, max_seq_len=16, rows=VOCAB, height=9.0):
        self.scripts, self.max_seq_len, self.rows, self.height = scripts, max_seq_len, rows, height

    def begin(self, texts, eos_id, new):
        self.fed = [[eos_id, *text] for text in texts]
        self.begun = [len(text) for text in texts]
        return self.scores()

    def feed(self, tokens):
        for row, token in zip(self.fed, tokens):
            if token >= 0:
                row.append(token)
                assert len(row) <= self.max_seq_len
        return self.scores()

    def scores(self):
        scores = np.zeros((len(self.fed), self.rows), np.float32)
        for row, (fed, begun, script) in enumerate(zip(self.fed, self.begun, self.scripts)):
            place = len(fed) - 1 - begun
            scores[row, script[place] if place < len(script) else EOS] = self.height
        return scores


def run(decoder, prompts, sampling=GREEDY, **options):
    generation = Generation(decoder, prompts, sampling, EOS, (EOS,), VOCAB, **options)
    ids = [[] for _ in prompts]
    for new in generation:
        ids[new.row].append(new.token)
    return ids, generation.stopped_by


def test_stops_at_eos_and_does_not_yield_it():
    decoder = ScriptedDecoder([5, 6, EOS])
    assert run(decoder, [[3, 4]]) == ([[5, 6]], ["<eos>"])
    assert decoder.fed == [[EOS, 3, 4, 5, 6]]


def test_each_of_several_ids_ends_a_text():
    decoder = ScriptedDecoder([5, 7, 6], [5, 6, EOS], [5, 5, 5, 7])
    generation = Generation(
        decoder, [[3], [4], [3, 3]], replace(GREEDY, max_new_tokens=3), EOS, (EOS, 7), VOCAB
    )
    assert [(new.row, new.token) for new in generation if new.row != 2] == [(0, 5), (1, 5), (1, 6)]
    assert generation.stopped_by == ["<eos>", "<eos>", "max_new_tokens"]
    assert decoder.fed[0] == [EOS, 3, 5], "an end id is not read"


def test_an_end_id_with_its_log_probability_on_request():
    decoder = ScriptedDecoder([5, 7], [EOS], height=2.0)
    generation = Generation(
        decoder, [[3], []], GREEDY, EOS, (EOS, 7), VOCAB, n_likely=0, yield_ends=True
    )
    tokens = list(generation)
    assert [(new.row, new.token, new.ends) for new in tokens] == [
        (0, 5, False), (1, EOS, True), (0, 7, True)
    ]  # fmt: skip
    likely = 2 - np.log(np.exp(2) + VOCAB - 1)
    assert [new.log_prob for new in tokens] == pytest.approx([likely] * 3)


def test_an_empty_prompt_begins_a_document():
    decoder = ScriptedDecoder([3, EOS])
    assert run(decoder, [[]])[0] == [[3]]
    assert decoder.fed == [[EOS, 3]]


def test_stops_after_max_new_tokens_without_feeding_the_last():
    decoder = ScriptedDecoder([4, 5, 6])
    sampling = Sampling(temperature=0, max_new_tokens=2)
    assert run(decoder, [[3]], sampling) == ([[4, 5]], ["max_new_tokens"])
    assert decoder.fed == [[EOS, 3, 4]]


def test_stops_when_the_context_is_full():
    decoder = ScriptedDecoder([5, 6, 7, 7, 7], max_seq_len=6)
    assert run(decoder, [[3, 4]]) == ([[5, 6, 7]], ["context"]), "eos + 2 + 3 = 6"


def test_a_prompt_may_leave_room_for_one_token_but_not_less():
    decoder = ScriptedDecoder([3, 3], max_seq_len=5)
    assert run(decoder, [[3] * 3])[0] == [[3]]
    with pytest.raises(ValueError, match="prompt has 4 tokens, but the context of 5 has room for"):
        Generation(decoder, [[1], [3] * 4], Sampling(), EOS, (EOS,), VOCAB)


def test_padding_ids_are_never_sampled():
    decoder = ScriptedDecoder([VOCAB + 3] * 16, rows=VOCAB + 4)
    (ids,), _ = run(decoder, [[]], Sampling(temperature=0.5, seed=3))
    assert all(token < VOCAB for token in ids)


def test_rows_end_each_at_its_own_time():
    decoder = ScriptedDecoder([1, EOS], [2, 2, 2, 2], [EOS], [7, 6, 5], max_seq_len=9)
    sampling = Sampling(temperature=0, max_new_tokens=3)
    ids, reasons = run(decoder, [[3], [3, 3, 3, 3, 3, 3], [], [4]], sampling)
    assert ids == [[1], [2, 2], [], [7, 6, 5]]
    assert reasons == ["<eos>", "context", "<eos>", "max_new_tokens"]


def test_a_row_can_be_stopped_from_outside():
    decoder = ScriptedDecoder([5, 6, 7], [1, 2, 3])
    generation = Generation(decoder, [[], []], GREEDY, EOS, (EOS,), VOCAB)
    ids = [[], []]
    for new in generation:
        ids[new.row].append(new.token)
        if new.token == 6:
            generation.stop(new.row, "enough")
    assert ids == [[5, 6], [1, 2, 3]]
    assert generation.stopped_by == ["enough", "<eos>"]


def test_the_same_seed_gives_the_same_text_whatever_stands_beside_it():
    def text(prompts, samples=None, seed=5):
        decoder = ScriptedDecoder(*[[1]] * len(prompts), max_seq_len=64, height=0.0)
        return run(decoder, prompts, Sampling(seed=seed), samples=samples)[0]

    first = text([[1, 2]])[0]
    assert text([[1, 2]], seed=6)[0] != first
    assert text([[4], [1, 2], [3, 3, 3]])[1] == first
    samples = text([[1, 2]] * 3, range(3))
    assert samples[0] == first and len(set(map(tuple, samples))) == 3
    assert text([[1, 2]], [2])[0] == samples[2]


def test_log_probabilities_on_request():
    decoder = ScriptedDecoder([5, 6], height=2.0)
    sampling = Sampling(temperature=0, repetition_penalty=2.0)
    tokens = list(Generation(decoder, [[3]], sampling, EOS, (EOS,), VOCAB, n_likely=3))
    likely = 2 - np.log(np.exp(2) + VOCAB - 1)
    assert [new.log_prob for new in tokens] == pytest.approx([likely] * 2)
    assert tokens[0].likely[0] == pytest.approx((5, likely))
    assert len(tokens[0].likely) == 3
    assert tokens[0].likely[1][1] == pytest.approx(likely - 2)
    assert list(Generation(decoder, [[3]], sampling, EOS, (EOS,), VOCAB))[0].log_prob is None
