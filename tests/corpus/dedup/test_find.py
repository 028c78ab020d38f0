import numpy as np
import pytest

from common.errors import UserError
from corpus.dedup import buckets, documents, find, near, pairs
from corpus.dedup.find import find_duplicates
from corpus.dedup.outcomes import kept_documents
from corpus.dedup.pieces import jaccard, normalised, pieces
from corpus.dedup.signatures import hash_file, minhash_file


def chars(begin, end):
    """Different characters, so that similarities can be counted by hand."""
    return "".join(chr(0x4E00 + n) for n in range(begin, end))


def similarity(one, other):
    return jaccard(pieces(normalised(one)), pieces(normalised(other)))


@pytest.fixture(scope="module")
def messy(random_texts):
    """400 texts, then changed copies of the first 200 in all degrees, and exact copies."""
    base = random_texts(400, length=120)
    changed = [text[: 40 + n % 80] + base[n + 1][:20] for n, text in enumerate(base[:200])]
    return base + changed + base[50:90] + changed[:20]


def test_an_exact_copy_loses_to_the_first(dedup):
    texts = ["床前明月光", "疑是地上霜", "床前 明月光\n", "床前明月光！", "床前明月光"]
    run = dedup(texts, mode="exact", size=2)
    assert run.lost_to == {2: 0, 4: 0}
    assert (run.counts.documents, run.counts.exact, run.counts.near) == (5, 2, 0)
    assert (run.removed["similarity"] == 1).all()


def test_a_near_copy_loses_to_the_first(dedup):
    text = chars(0, 100)
    run = dedup([chars(200, 300), text, text[:90], text + chars(400, 405)])
    assert run.lost_to == {2: 1, 3: 1}
    assert run.removed["similarity"].tolist() == [86 / 96, 96 / 101]
    assert (run.counts.exact, run.counts.near, run.counts.verified) == (0, 2, 2)


@pytest.mark.parametrize("threshold, gone", [(86 / 96, True), (86 / 96 + 1e-9, False)])
def test_the_threshold_is_met_exactly(dedup, threshold, gone):
    text = chars(0, 100)
    assert (1 in dedup([text, text[:90]], threshold=threshold).lost_to) == gone


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_each_removal_holds_against_a_kept_earlier_document(dedup, messy, threshold):
    run = dedup(messy, threshold=threshold)
    assert len(run.removed) >= 60
    for document, kept, share in run.removed.tolist():
        assert kept < document and kept not in run.lost_to
        assert share == similarity(messy[document], messy[kept]) >= threshold


def test_what_is_kept_repeats_nothing_that_is_kept(dedup, messy):
    """Bands may miss a pair near the threshold, so look well above it."""
    run = dedup(messy)
    kept = [text for n, text in enumerate(messy) if n not in run.lost_to]
    sets = [pieces(normalised(text)) for text in kept]
    assert not [
        (i, j) for j in range(len(sets)) for i in range(j) if jaccard(sets[i], sets[j]) > 0.7
    ]


def test_a_chain_is_judged_against_what_is_kept(dedup):
    """B repeats A, C repeats B but not A: B goes, so C stays; D repeats C and goes to it."""
    texts = [chars(begin, begin + 100) for begin in (0, 20, 40, 50)]
    assert similarity(texts[0], texts[1]) > 0.6 > similarity(texts[0], texts[2])
    assert dedup(texts).lost_to == {1: 0, 3: 2}


def test_a_copy_of_a_near_copy_loses_to_what_is_kept(dedup):
    text = chars(0, 100)
    run = dedup([text, text[:90], text[:90], text[:90] + " "])
    assert run.lost_to == {1: 0, 2: 0, 3: 0}
    assert run.removed["similarity"].tolist() == [86 / 96] * 3
    assert (run.counts.exact, run.counts.near) == (2, 1)


def test_the_first_of_several_winners_is_named(dedup):
    text = chars(0, 100)
    texts = [text[:70] + chars(500, 530), chars(600, 630) + text[30:], text]
    assert similarity(*texts[:2]) < 0.4
    assert dedup(texts, threshold=0.5).lost_to == {2: 0}
    assert dedup([texts[1], texts[0], text], threshold=0.5).lost_to == {2: 0}


def test_short_documents_are_compared_as_a_whole_only(dedup):
    assert dedup(["明月光光", "明月光霜", "明月光光", "", " "]).lost_to == {2: 0, 4: 3}


def test_boilerplate_does_not_hide_different_documents(dedup, random_texts):
    """2,000 documents that share most bands, and copies of some: pairs stay few."""
    frame = chars(3000, 3060)
    bodies = random_texts(600, length=60)
    texts = [frame + body for body in bodies]
    run = dedup([*texts, *(text + "。" for text in texts[300:])])
    assert sorted(run.lost_to) == list(range(600, 900))
    assert run.counts.candidates < 900 * near.BUCKET_LIMIT * 4


def test_a_thousand_equal_documents_are_not_compared_in_pairs(dedup):
    run = dedup([chars(0, 50) + chr(0x3400 + n) for n in range(1000)])
    assert len(run.lost_to) == 999 and set(run.lost_to.values()) == {0}
    assert run.counts.verified == 999
    assert run.counts.candidates < 1000 * near.BUCKET_LIMIT * 2


@pytest.mark.parametrize("size", [7, 1000])
def test_shards_of_any_size_give_the_same_bytes(dedup, messy, size):
    expected, run = dedup(messy), dedup(messy, size=size)
    assert run.removed.tobytes() == expected.removed.tobytes()
    assert run.counts == expected.counts


def test_little_memory_gives_the_same_bytes(dedup, messy, monkeypatch):
    expected = dedup(messy)
    monkeypatch.setattr(documents, "BLOCK_DOCUMENTS", 50)
    monkeypatch.setattr(documents, "OPEN_SHARDS", 1)
    monkeypatch.setattr(near, "SPAN_DOCUMENTS", 100)
    monkeypatch.setattr(near, "SLICE_DOCUMENTS", 7)
    monkeypatch.setattr(near, "CACHED_PIECES", 100)
    monkeypatch.setattr(buckets.Buckets.__init__, "__defaults__", (300,))
    monkeypatch.setattr(pairs.SortedPairs.__init__, "__defaults__", (40,))
    run = dedup(messy)
    assert run.removed.tobytes() == expected.removed.tobytes()
    assert run.counts == expected.counts


def test_a_second_run_replaces_the_first_and_leaves_no_scratch(dedup, messy):
    run = dedup(messy)
    again = find_duplicates(run.shards, "near", 0.6, run.folder)
    assert again == run.counts
    assert sorted(path.name for path in run.folder.iterdir()) == ["duplicates.jsonl", "removed.npy"]


def test_what_a_killed_run_left_is_cleared(dedup, messy):
    run = dedup(messy)
    left = run.folder / "steps" / "pairs"
    left.mkdir(parents=True)
    (left / "0").write_bytes(b"half a record")
    find_duplicates(run.shards, "near", 0.6, run.folder)
    assert np.load(run.folder / "removed.npy").tobytes() == run.removed.tobytes()


def test_kept_documents_of_a_range(dedup):
    run = dedup(["甲乙丙丁戊", "甲乙丙丁戊", "子丑寅卯辰", "子丑寅卯辰", "戊"])
    assert kept_documents(run.folder, 0, 5).tolist() == [True, False, True, False, True]
    assert kept_documents(run.folder, 1, 4).tolist() == [False, True, False]
    assert kept_documents(run.folder, 2, 2).tolist() == []


@pytest.mark.parametrize("texts", [[], ["只有一篇文章在这里"]])
def test_nothing_to_remove(dedup, texts):
    run = dedup(texts)
    assert run.lost_to == {} and run.report() == []
    assert kept_documents(run.folder, 0, len(texts)).all()


def test_an_empty_shard_between_others(dedup, tmp_path):
    run = dedup(["甲乙丙丁戊", "甲乙丙丁戊"], size=1)
    empty = dedup([""]).shards[0]
    shards = [run.shards[0], empty, run.shards[1]]
    assert find_duplicates(shards, "near", 0.6, tmp_path).exact == 1


def test_missing_signatures_are_named(dedup, tmp_path):
    run = dedup(["甲乙丙丁戊"])
    hash_file(run.shards[0].signatures).unlink()
    with pytest.raises(UserError, match="signatures-0.*cannot be used.*again"):
        find_duplicates(run.shards, "near", 0.6, tmp_path)


def test_signatures_of_the_exact_mode_do_not_serve_the_near_one(dedup, tmp_path):
    run = dedup(["甲乙丙丁戊"], mode="exact")
    assert not minhash_file(run.shards[0].signatures).exists()
    with pytest.raises(UserError, match="signatures-0.*again"):
        find_duplicates(run.shards, "near", 0.6, tmp_path)


def test_signatures_of_other_texts_are_named(dedup, tmp_path):
    one, two = dedup(["甲乙丙丁戊"] * 3), dedup(["子丑寅卯辰"])
    hashes = hash_file(two.shards[0].signatures)
    hashes.write_bytes(hash_file(one.shards[0].signatures).read_bytes())
    with pytest.raises(UserError, match="not of these texts"):
        find_duplicates(two.shards, "exact", 0.6, tmp_path)


def test_more_documents_than_can_be_numbered(dedup, tmp_path, monkeypatch):
    run = dedup(["甲", "乙", "丙"])
    monkeypatch.setattr(find, "MAX_DOCUMENTS", 3)
    with pytest.raises(UserError, match="3 documents are more than"):
        find_duplicates(run.shards, "near", 0.6, tmp_path)
