"""The held-out loss is exact over the whole file, whatever the batch."""

import math

import pytest

from corpus.token_file import TokenFile, TokenFileWriter
from model.config import ModelConfig
from model.llama import Llama
from training.feeds.tokens import FileRows
from training.heldout import HeldOut, HeldOutResult
from training.objectives.cross_entropy import NextToken

pytestmark = pytest.mark.usefixtures("graph_mode")
TOKENS = 16 * 5 + 7


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> TokenFile:
    path = tmp_path_factory.mktemp("heldout") / "val.bin"
    with TokenFileWriter(path, 64) as writer:
        writer.write([(7 * i * i + 3) % 64 for i in range(TOKENS)])
    return TokenFile.open(path)


@pytest.fixture(scope="module")
def objective() -> NextToken:
    config = ModelConfig(dim=16, n_layers=1, n_heads=2, max_seq_len=16, vocab_size=64)
    return NextToken(Llama(config))


def test_every_token_counts_once_whatever_the_batch(objective, file):
    results = [HeldOut(objective, FileRows(file, 16, 2), batch).evaluate() for batch in (1, 4)]
    assert [result.tokens for result in results] == [TOKENS - 1] * 2
    assert results[0].nats == pytest.approx(results[1].nats, rel=1e-6)
    assert results[0].loss == pytest.approx(math.log(64), rel=0.02), "untrained: near chance"


def test_a_subset_of_rows(objective, file):
    assert HeldOut(objective, FileRows(file, 16, 2), 4).evaluate(rows=2).tokens == 2 * 16
    assert HeldOut(objective, FileRows(file, 16, 2), 4).evaluate(rows=99).tokens == TOKENS - 1


def test_the_figures():
    result = HeldOutResult(nats=20 * math.log(2), tokens=10, text_bytes=40)
    assert result.loss == pytest.approx(2 * math.log(2))
    assert result.perplexity == pytest.approx(4)
    assert result.bits_per_byte == pytest.approx(0.5)
    assert math.isnan(HeldOutResult(1.0, 1, 0).bits_per_byte), "a bare file does not give its bytes"
