"""Pairs as rows of training: shared among ranks, measured whole."""

import types

import numpy as np
import pytest

from common.errors import UserError
from corpus.pair_rows import PairRows
from tests.corpus.test_packed_rows import File
from training.feeds.base import RankRows
from training.feeds.pairs import PairFeed, PairResult, PairSides, pair_feed
from training.heldout import HeldOut
from training.parallel import World

COLUMNS = ("tokens", "present", "reference_log_probs")


def make_feed(world: World) -> PairFeed:
    lengths = np.random.default_rng(0).integers(3, 9, (60, 2))
    file = File(lengths, n_sequences=2)
    file.fingerprint = "pairs"
    feed = PairFeed(None, COLUMNS, PairRows(file, 24, 0, 1), PairRows(file, 24, 0, 1))
    feed.attach(None, None, world)
    feed.train.log_probs = feed.held_out.log_probs = -np.arange(120, dtype=np.float32).reshape(
        60, 2
    )
    return feed


def test_ranks_read_whole_pairs_and_together_what_one_process_does():
    feed = make_feed(World())
    alone = [feed.row(position) for position in range(8)]
    for chosen, rejected in zip(alone[::2], alone[1::2]):
        assert (chosen[1] == rejected[1]).all()
        assert (rejected[2] - chosen[2]).tolist() == (-chosen[1]).tolist(), "their own references"
    ranks = [RankRows(make_feed(World(rank, 2)), 0, 4, rank, 2) for rank in (0, 1)]
    shared = [[rows[i] for i in range(4)] for rows in ranks]
    for pair in range(4):
        for side in range(2):
            found = shared[pair % 2][2 * (pair // 2) + side]
            for ours, theirs in zip(found, alone[2 * pair + side]):
                assert np.array_equal(ours, theirs)


def test_held_out_pairs_that_are_all_too_long_are_refused():
    train, val = (File([lengths], n_sequences=2) for lengths in ([5, 6], [41, 42]))
    train.fingerprint = "pairs"
    with pytest.raises(UserError, match="fits a context of 24 ids; raise model.max_seq_len"):
        PairFeed(None, COLUMNS, PairRows(train, 24, 0, 1), PairRows(val, 24, 0, 1))


def test_held_out_pairs_stay_whole():
    feed = make_feed(World())
    held_out = HeldOut(types.SimpleNamespace(measures=()), feed.held_out, 4)
    chosen = held_out._spread(7)
    assert len(chosen) == 8 and (chosen[1::2] == chosen[::2] + 1).all()
    assert not (chosen[::2] % 2).any()
    assert held_out._spread(0).tolist() == list(range(len(feed.held_out)))
    assert isinstance(feed.held_out, PairSides)
    assert not np.concatenate(feed.held_out.padding(), axis=None).any()


def test_what_is_said_of_held_out_pairs_has_an_interval():
    result = PairResult(60.0, 100, 0.0, {"accuracy": 0.8, "margin": 1.25})
    assert result.describe() == (
        "loss 0.6000  accuracy 80.0% (71.1 to 86.7) of 100 pairs  margin 1.250"
    )


def test_a_micro_batch_parts_no_pair():
    recipe = types.SimpleNamespace(train=types.SimpleNamespace(micro_batch=3))
    with pytest.raises(UserError, match="train.micro_batch is 3; for pairs it must be even"):
        pair_feed(recipe, None, None)
