import numpy as np
import pytest

from common.errors import UserError
from corpus.dedup import signatures
from corpus.dedup.pieces import jaccard, normalised, pieces
from corpus.dedup.signatures import ABSENT, hash_file, minhash_file, sign_shard
from corpus.ragged import write_texts

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


@pytest.fixture
def sign(tmp_path):
    def run(texts, near=True):
        write_texts(tmp_path / "texts", texts)
        sign_shard(tmp_path / "texts", tmp_path / "signed", near)
        hashes = np.load(hash_file(tmp_path / "signed"))
        return hashes, np.load(minhash_file(tmp_path / "signed")) if near else None

    return run


def test_signatures_of_a_known_text_stay_what_they_are(sign):
    hashes, minhashes = sign([POEM])
    assert hashes.tolist() == [[4317444793862968768, 8898323224097132519]]
    assert minhashes.shape == (1, 128) and minhashes.dtype == np.uint32
    assert minhashes[0, :3].tolist() == [85292009, 3371773113, 3328884070]


def test_equal_up_to_spacing_and_width_is_equal(sign):
    hashes, minhashes = sign([POEM, POEM.replace("，", ", \n"), POEM + "好"])
    assert (hashes[0] == hashes[1]).all() and (minhashes[0] == minhashes[1]).all()
    assert (hashes[0] != hashes[2]).any() and (minhashes[0] != minhashes[2]).any()


def test_minhash_estimates_the_similarity(sign, random_texts):
    whole = random_texts(1, length=2000)[0]
    _, minhashes = sign([whole, whole[:1400]])
    true = jaccard(pieces(normalised(whole)), pieces(normalised(whole[:1400])))
    assert (minhashes[0] == minhashes[1]).mean() == pytest.approx(true, abs=0.15)


def test_what_is_too_short_or_too_long_has_no_minhash(sign, monkeypatch):
    monkeypatch.setattr(signatures, "MAX_NEAR_CHARS", 30)
    _, minhashes = sign(["", "明月光光", "明月光光光", "明" * 31])
    assert (minhashes == ABSENT).all(axis=1).tolist() == [True, True, False, True]


def test_a_long_text_is_signed_in_steps(sign, random_texts, monkeypatch):
    long = random_texts(1, length=500)
    _, at_once = sign(long)
    monkeypatch.setattr(signatures, "UPDATE_CHARS", 7)
    assert (sign(long)[1] == at_once).all()


def test_exact_writes_no_minhash(sign, tmp_path):
    sign([POEM], near=False)
    assert not minhash_file(tmp_path / "signed").exists()


def test_an_empty_shard(sign):
    hashes, minhashes = sign([])
    assert hashes.shape == (0, 2) and minhashes.shape == (0, 128)


def test_a_missing_shard_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing-here"):
        sign_shard(tmp_path / "nothing-here", tmp_path / "signed", near=True)
    assert not list(tmp_path.glob("*signed*"))
