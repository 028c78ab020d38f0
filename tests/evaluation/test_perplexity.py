import math
import shutil

import pytest

from common.errors import UserError
from corpus.token_file import VAL_NAME, TokenFile
from evaluation.perplexity import describe, measure
from tokenizer.tokenizer import load_tokenizer
from tokenizer.train import train_sentencepiece


def test_untrained_weights_are_about_as_good_as_a_blind_guess(run):
    file = TokenFile.open(f"{run.recipe.data.dir}/{VAL_NAME}")
    result = measure(run.load_model(), run.tokenizer(), run.recipe.data.dir, run.recipe.eval)
    assert result.tokens == file.n_tokens - 1, "every token but the first"
    assert result.loss == pytest.approx(math.log(run.recipe.model.padded_vocab_size), abs=0.1)
    bits = result.loss / math.log(2) * file.manifest.tokens / file.manifest.text_bytes
    assert result.bits_per_byte == pytest.approx(bits)
    assert f"bits per byte {bits:.3f} over {result.tokens:,} tokens" in describe(result)


def test_missing_file_says_how_to_make_it(run, tmp_path):
    with pytest.raises(UserError, match=f"{VAL_NAME} does not exist; run python data_process.py"):
        measure(run.load_model(), run.tokenizer(), str(tmp_path), run.recipe.eval)


def test_data_of_another_tokenizer_is_refused(run, tmp_path):
    train_sentencepiece(["今天天气很好，我们去公园。" * 5] * 20, 280, tmp_path / "tokenizer.model")
    other = load_tokenizer("sentencepiece", tmp_path)
    with pytest.raises(UserError, match="was made with another tokenizer"):
        measure(run.load_model(), other, run.recipe.data.dir, run.recipe.eval)


def test_without_a_manifest_bits_per_byte_are_unknown(run, tmp_path):
    shutil.copy(f"{run.recipe.data.dir}/{VAL_NAME}", tmp_path)
    result = measure(run.load_model(), run.tokenizer(), str(tmp_path), run.recipe.eval)
    assert math.isnan(result.bits_per_byte)
    assert "unknown (no manifest)" in describe(result)
