"""What is known from the shape alone, and which shapes are refused."""

import pytest

from model.config import AdapterConfig, ModelConfig
from model.llama import Llama
from tests.model.cases import tiny_config

pytestmark = pytest.mark.usefixtures("graph_mode")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_embeddings": False},
        {"attention_bias": True, "n_kv_heads": 2},
        {"n_kv_heads": 1, "tie_embeddings": False, "hidden_dim": None, "n_layers": 3},
    ],
    ids=["tied", "untied", "biased grouped-query", "one key head"],
)
def test_n_params_counts_the_network(changes):
    config = tiny_config(**changes)
    parameters = Llama(config).trainable_params()
    assert config.n_params() == sum(p.size for p in parameters)
    tables = [p.size for p in parameters if p.name in ("embedding", "output")]
    assert len(tables) == (1 if config.tie_embeddings else 2)
    assert config.n_params(embedding=False) == config.n_params() - sum(tables)


def test_flops_by_hand():
    shape = {"dim": 8, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "hidden_dim": 16}
    config = ModelConfig(**shape, vocab_size=50, max_seq_len=10, tie_embeddings=False)
    # wq and wo 8 x 8, wk and wv 4 x 8, three 16 x 8 of the feed-forward, three norms of 8
    weights = 2 * 64 + 2 * 32 + 3 * 128 + 3 * 8
    assert config.n_params(embedding=False) == weights
    output = 64 * 8  # the vocabulary padded to 64; the look-up costs nothing
    assert config.flops_per_token() == 6 * (weights + output) + 12 * 1 * 8 * 10
    assert config.flops_per_token(5) == 6 * (weights + output) + 12 * 1 * 8 * 5


def test_derived_sizes():
    config = ModelConfig(dim=288, n_heads=6, n_kv_heads=2, vocab_size=65)
    assert (config.head_dim, config.kv_dim) == (48, 96)
    assert config.hidden_dim == 768
    assert config.padded_vocab_size == 128
    assert ModelConfig(n_heads=6).n_kv_heads == 6


@pytest.mark.parametrize(
    "field, value",
    [
        ("dim", 0),
        ("dim", 30),  # heads of 7.5
        ("dim", 12),  # heads of 3, which rotary cannot halve
        ("n_layers", 0),
        ("n_heads", 0),
        ("n_kv_heads", 0),
        ("n_kv_heads", 3),
        ("hidden_dim", 0),
        ("max_seq_len", 0),
        ("vocab_size", 0),
        ("rope_theta", 0.0),
        ("norm_eps", -1e-5),
    ],
)
def test_errors_name_the_field(field, value):
    with pytest.raises(ValueError, match=f"model.{field}"):
        tiny_config(**{field: value})


def test_the_vocabulary_must_be_known():
    with pytest.raises(ValueError, match="model.vocab_size"):
        Llama(tiny_config(vocab_size=None))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "dora"}, "adapter.kind is dora; it must be none or lora"),
        ({"rank": 0}, "adapter.rank is 0; it must be at least 1"),
        ({"alpha": 0.0}, "adapter.alpha is 0.0; it must be positive"),
        ({"dropout": 1.0}, "adapter.dropout is 1.0; it must"),
        ({"dropout": 0.1, "kind": "none"}, "adapter.dropout is 0.1, but adapter.kind is none"),
        ({"targets": ["wq", "w4"]}, "adapter.targets names w4, which no block has; it may name wq"),
        ({"targets": []}, "adapter.targets must name at least one matrix"),
        ({"targets": ["wq", "wq"]}, "each of them once"),
        ({"kind": "none", "train_norms": True}, "adapter.train_norms are for adapter.kind lora"),
        ({"attention_group": 7}, "adapter.attention_group is 7; it must be null or an even"),
    ],
)
def test_errors_name_the_field_of_the_adapter(changes, says):
    with pytest.raises(ValueError, match=says):
        AdapterConfig(**{"kind": "lora", **changes})
