import numpy as np
import pytest

from chat.template import ANSWER, CONTENT, TEXT
from common.errors import UserError
from corpus.packed_rows import Augmentation, PackedRows, plan_rows


class File:
    """Examples in memory: `n_sequences` sequences each, with distinct ids."""

    def __init__(self, lengths, n_sequences=1):
        self.n_sequences, self.folder, self.split = n_sequences, "data", "train"
        lengths = np.reshape(lengths, (-1, n_sequences))
        self.n_examples = len(lengths)
        self.offsets = np.cumsum([0, *lengths.ravel()])
        self.ids = np.arange(1, self.offsets[-1] + 1)
        # Of each sequence the first id is the template's, then a content, then an answer.
        self.all = np.concatenate([np.array([TEXT] + [CONTENT] * (n // 2)
                                            + [ANSWER] * (n - 1 - n // 2))
                                   for n in lengths.ravel()])  # fmt: skip

    def lengths(self):
        return np.diff(self.offsets).reshape(self.n_examples, self.n_sequences)

    def all_kinds(self, begin, end):
        return self.all[begin:end]

    def kinds(self, index):
        places = range(index * self.n_sequences, (index + 1) * self.n_sequences)
        places = [slice(*self.offsets[i : i + 2]) for i in places]
        return [(self.ids[place], self.all[place]) for place in places]

    def source(self, index):
        return "dialogues.json"


def random_lengths(count, longest, seed=0):
    return np.random.default_rng(seed).integers(3, longest, count)


def test_every_example_that_fits_stands_in_one_row():
    lengths = random_lengths(20_000, 70)
    plan = plan_rows(lengths, 65, seed=1, epoch=0)
    assert sorted([*plan.order, *plan.too_long]) == list(range(20_000))
    assert (lengths[plan.too_long] > 65).all() and (lengths[plan.order] <= 65).all()
    sizes = np.add.reduceat(lengths[plan.order], plan.starts[:-1])
    assert sizes.max() <= 65
    assert plan.fill == sizes.sum() / (65 * plan.n_rows)
    assert plan.fill > 0.97


def test_the_order_is_a_function_of_seed_and_epoch():
    lengths = random_lengths(500, 40)
    plans = [
        plan_rows(lengths, 65, seed, epoch) for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0))
    ]
    assert (plans[0].order == plans[1].order).all()
    assert all(plan.order.tolist() != plans[0].order.tolist() for plan in plans[2:])
    first = [lengths[plans[0].row(index)].max() for index in range(plans[0].n_rows)]
    assert first != sorted(first, reverse=True), "long examples come first"


@pytest.mark.parametrize("n_sequences", [1, 2])
def test_a_row_holds_its_sequences_whole_and_apart(n_sequences):
    file = File(random_lengths(60, 12), n_sequences)
    rows = PackedRows(file, 40, pad_id=0, seed=3)
    seen = []
    for position in range(rows.plan(0).n_rows):
        tokens, targets, weight, segments = rows.row(position)
        assert tokens.shape == targets.shape == weight.shape == segments.shape == (40,)
        assert (tokens[1:] == targets[:-1]).all()
        for segment in range(segments.max() + 1):
            ids = tokens[segments == segment]
            if ids[0]:
                (number,) = np.flatnonzero(file.ids[file.offsets[:-1]] == ids[0])
                begin, end = file.offsets[number : number + 2]
                seen.append(number)
                n_ids = min(end - begin, len(ids))
                assert (ids[:n_ids] == file.ids[begin : begin + n_ids]).all()
        weighted = targets[weight == 1]
        assert (file.all[weighted - 1] == ANSWER).all()
        assert (tokens[weight == 1] == weighted - 1).all(), "a target belongs to its own sequence"
        assert not weight[targets == 0].any() and set(weight) <= {0, 1}
    assert sorted(seen) == list(range(len(file.offsets) - 1))
    total = sum(rows.row(i)[2].sum() for i in range(rows.plan(0).n_rows))
    assert total == (file.all == ANSWER).sum(), "each id of an answer is a target once"


def test_a_position_names_the_same_row_whoever_asks():
    file = File(random_lengths(100, 12))
    rows = PackedRows(file, 40, 0, seed=3)
    in_order = [rows.row(position) for position in range(70)]
    assert rows.place(69)[0] >= 2, "several epochs"
    for position in (69, 3, 40, 0):
        again = PackedRows(file, 40, 0, seed=3).row(position)
        assert all((a == b).all() for a, b in zip(again, in_order[position]))


def test_what_is_too_long_is_counted_and_named():
    file = File([5, 50, 6, 42, 41])
    text = PackedRows(file, 40, 0, seed=3).describe()
    assert text.startswith("3 examples in 2 rows of 40 ids, ")
    assert text.endswith(
        "; 2 examples are longer than the context and left out, such as number "
        "1 of dialogues.json (50 ids), 3 of dialogues.json (42 ids)"
    )
    with pytest.raises(UserError, match="no train example of data fits a context of 3 ids"):
        PackedRows(file, 3, 0, seed=3).row(0)


def test_noise_falls_on_instructions_alone_and_changes_with_the_epoch():
    file = File(random_lengths(2000, 40))
    rows = PackedRows(file, 64, 0, seed=3, augmentation=Augmentation(delete=0.1, repeat=0.2))
    kinds = {0: [], 1: []}
    for epoch in kinds:
        for number in range(file.n_examples):
            ids, found = rows.sequences(number, epoch)[0]
            whole, all_kinds = file.kinds(number)[0]
            assert (ids[found != CONTENT] == whole[all_kinds != CONTENT]).all()
            kinds[epoch].append(ids[found == CONTENT])
        assert rows.plan(epoch).order.size == file.n_examples
    assert any(a.tolist() != b.tolist() for a, b in zip(*kinds.values()))
    said = np.bincount(np.concatenate(kinds[0]), minlength=len(file.ids) + 1)[1:]
    said = said[file.all == CONTENT]
    assert abs((said == 0).mean() - 0.1) < 0.01
    assert abs((said == 2).mean() - 0.9 * 0.2) < 0.015
    lengths = [len(rows.sequences(number, 1)[0][0]) for number in rows.plan(1).row(0)]
    assert sum(lengths) <= 65
