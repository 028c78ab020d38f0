import pytest

from benchmarks.data_dedup import find_ours, n_false, recall
from benchmarks.data_injected import inject


@pytest.fixture(scope="module")
def corpus(random_texts):
    """500 documents and 100 changed copies of some."""
    return inject([random_texts(1, seed=n, length=150 + n)[0] for n in range(500)], 100)


@pytest.mark.parametrize("threshold", [0.5, 0.6])
def test_changed_copies_are_found_and_nothing_else(corpus, tmp_path, threshold):
    documents, injected = corpus
    removed = find_ours(documents, tmp_path, threshold)
    share = recall(injected, set(removed["document"].tolist()))
    for kind in ("1 % edited", "3 % edited", "advertisement", "cut to 80 %"):
        assert share[kind] >= 0.97, kind
    copies = {pair.copy: pair.original for pair in injected}
    assert {document: kept for document, kept, _ in removed.tolist()}.items() <= copies.items()
    assert n_false(documents, removed, threshold) == 0


def test_the_benchmark_notices_a_false_removal(corpus, tmp_path):
    documents, _ = corpus
    removed = find_ours(documents, tmp_path, 0.6)
    assert n_false(documents, removed, 0.99) > 0
    removed["kept"][0] = removed["document"][1]
    assert n_false(documents, removed, 0.6) > 0
