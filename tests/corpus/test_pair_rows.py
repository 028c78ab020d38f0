import numpy as np
import pytest

from chat.template import ANSWER
from common.errors import UserError
from corpus.pair_rows import PairRows
from corpus.sequence_sums import at_end, sequence_sums
from tests.corpus.test_packed_rows import File

T = 40


@pytest.fixture
def file():
    return File(np.random.default_rng(0).integers(3, 20, (200, 2)), n_sequences=2)


def test_both_answers_of_a_pair_stand_in_the_same_place_of_two_rows(file):
    rows, seen = PairRows(file, T, pad_id=0, seed=1), []
    for position in range(rows.plan(0).n_rows):
        found = rows.columns(position)
        numbers = found["numbers"][0][found["present"][0] > 0]
        seen += numbers.tolist()
        for side in (0, 1):
            assert found["tokens"][side].shape == (T,)
            assert found["present"][side].sum() == len(numbers) <= rows.slots
            for slot, number in enumerate(numbers):
                ids, kinds = file.kinds(number)[side]
                place = found["segment_ids"][side] == slot
                assert found["tokens"][side][place].tolist() == ids.tolist()
                weight = found["loss_weight"][side][place]
                assert weight.tolist() == [*(kinds[1:] == ANSWER), 0]
                targets = found["targets"][side][place][weight > 0]
                assert targets.tolist() == ids[kinds == ANSWER].tolist()
                assert found["ends"][side][place].tolist() == [0] * (len(ids) - 1) + [1]
            padding = found["segment_ids"][side] == len(numbers)
            assert not found["loss_weight"][side][padding].any()
            assert not found["ends"][side][padding].any()
    assert sorted(seen) == list(range(200)), "each pair once an epoch"


def test_a_position_names_the_same_pairs_whoever_asks(file):
    first, again = (PairRows(file, T, 0, seed=1) for _ in range(2))
    n_rows = first.plan(0).n_rows
    order = [first.columns(position)["numbers"].tolist() for position in range(2 * n_rows)]
    for position in (n_rows + 3, 2, n_rows - 1):
        assert again.columns(position)["numbers"].tolist() == order[position]
    assert PairRows(file, T, 0, seed=2).columns(2)["numbers"].tolist() != order[2]
    assert order[:n_rows] != order[n_rows:]


def test_a_pair_that_is_too_long_is_left_out_and_named():
    file = File([[5, 41], [7, 6]], n_sequences=2)
    rows = PairRows(file, T, 0, seed=1)
    assert rows.columns(0)["numbers"][0].max() == 1
    said = rows.describe()
    assert "1 pairs in 2 x 1 rows" in said and "0 of dialogues.json (41" in said
    with pytest.raises(UserError, match="raise model.max_seq_len"):
        PairRows(file, 6, 0, seed=1).place(0)


def test_sums_of_sequences_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 50, n) for n in rng.integers(1, 12, 30)] + [np.arange(1, 60)]

    def compute(tokens, targets, segments):
        assert tokens.shape == (4, T)
        return tokens.astype(np.float32)

    lengths = np.array(list(map(len, sequences)))
    found = sequence_sums(compute, lambda n: at_end(sequences[n]), lengths, T, 0, batch=4)
    assert found[:-1].tolist() == [ids[-1] for ids in sequences[:-1]]
    assert np.isnan(found[-1]), "longer than a row"
