"""Rows, their order and their share among ranks."""

import numpy as np
import pytest

from corpus.token_file import TokenFile, TokenFileWriter
from training.feeds.base import RankRows, batches
from training.feeds.tokens import TokenFeed, batch_fields, n_rows

SEQ_LEN, EOS, TOKENS = 8, 2, 8 * 13 + 5


@pytest.fixture
def file(tmp_path) -> TokenFile:
    """Ids 3, 4, 5, ...: each stands once, so that rows can be distinguished."""
    with TokenFileWriter(tmp_path / "ids.bin", 1000) as writer:
        writer.write(list(range(3, 3 + TOKENS)))
    return TokenFile.open(tmp_path / "ids.bin")


def feed(file, seed=7) -> TokenFeed:
    return TokenFeed(file, file, SEQ_LEN, EOS, seed)


def stream(file, start=0, length=13, rank=0, world=1) -> RankRows:
    return RankRows(feed(file), start, length, rank, world)


def targets(rows: RankRows) -> list[int]:
    return [int(target) for i in range(len(rows)) for target in rows[i][1]]


def test_every_token_is_a_target_once_an_epoch(file):
    assert n_rows(TOKENS, SEQ_LEN) == 13
    assert sorted(targets(stream(file))) == list(range(4, 4 + 13 * SEQ_LEN))


def test_epochs_are_shuffled_apart_and_have_no_seam(file):
    order = [feed(file).row_number(position) for position in range(39)]
    epochs = [order[:13], order[13:26], order[26:]]
    assert all(sorted(epoch) == list(range(13)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != list(range(13))
    assert order == [feed(file).row_number(position) for position in range(39)]
    assert order != [feed(file, seed=8).row_number(position) for position in range(39)]


def test_ranks_share_the_rows_of_one_process(file):
    alone = [stream(file, length=26)[i][0].tolist() for i in range(26)]
    ranks = [stream(file, length=13, rank=rank, world=2) for rank in range(2)]
    shared = [ranks[i % 2][i // 2][0].tolist() for i in range(26)]
    assert shared == alone


def test_a_resumed_stream_goes_on_where_it_stopped(file):
    whole, rest = stream(file, length=20), stream(file, start=6, length=14)
    assert targets(whole)[6 * SEQ_LEN :] == targets(rest)


def test_segments_end_with_their_eos():
    row = np.array([5, 6, EOS, 7, EOS, EOS, 8, 9, 5], np.int32)
    tokens, wanted, weight, segments = batch_fields(row, EOS)
    assert tokens.tolist() == [5, 6, 2, 7, 2, 2, 8, 9]
    assert wanted.tolist() == [6, 2, 7, 2, 2, 8, 9, 5]
    assert weight.tolist() == [1.0] * 8
    assert segments.tolist() == [0, 0, 0, 1, 1, 2, 3, 3]


def test_the_pipeline_keeps_the_order(file):
    rows = stream(file, length=12)
    seen = [
        batch["tokens"]
        for batch in batches(rows, TokenFeed.columns, 4).create_dict_iterator(output_numpy=True)
    ]
    assert [batch.shape for batch in seen] == [(4, SEQ_LEN)] * 3
    assert np.array_equal(np.concatenate(seen), [rows[i][0] for i in range(12)])
    assert all(batch.dtype == np.int32 for batch in seen)
