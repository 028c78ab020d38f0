import hashlib
import random
from collections import Counter

import pytest

from benchmarks.data_injected import ADVERTISEMENTS, KINDS, inject

BASE = ["".join(chr(0x4E00 + 7 * n + k) for k in range(200)) for n in range(50)]


def test_injection_is_the_same_each_time():
    documents, injected = inject(BASE, 20)
    assert (documents, injected) == inject(list(BASE), 20)
    digest = hashlib.sha256("\n".join(documents).encode("utf-8")).hexdigest()
    assert digest.startswith("3e2ece12bee985d3")


def test_copies_follow_the_originals_kinds_in_turn():
    documents, injected = inject(BASE, 20)
    assert documents[:50] == BASE
    assert [pair.copy for pair in injected] == list(range(50, 70))
    assert len({pair.original for pair in injected}) == 20
    assert Counter(pair.kind for pair in injected) == dict.fromkeys(KINDS, 4)
    assert all(documents[pair.copy] != BASE[pair.original] for pair in injected)


@pytest.mark.parametrize("kind, most", [("1 % edited", 2), ("3 % edited", 6), ("6 % edited", 12)])
def test_an_edit_leaves_the_other_characters_as_they_are(kind, most):
    text = BASE[0]
    changed = KINDS[kind](text, random.Random(1))
    gone = len(text) - sum((Counter(text) & Counter(changed)).values())
    assert 0 < gone <= most and abs(len(changed) - len(text)) <= most


def test_an_advertisement_is_appended_and_a_cut_keeps_the_beginning():
    text = BASE[0]
    assert KINDS["advertisement"](text, random.Random(1)).split("\n")[1] in ADVERTISEMENTS
    assert KINDS["cut to 80 %"](text, random.Random(1)) == text[:160]
