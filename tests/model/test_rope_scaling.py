"""Rotary angles stretched to a longer context, against transformers' and the formulas."""

import types

import numpy as np
import pytest

from model.config import ModelConfig
from model.rope import frequencies, plainly_stated, rope_tables, scaled_theta
from tests.model.cases import tiny_config

LONG = {"dim": 256, "n_heads": 4, "vocab_size": 64, "rope_theta": 10000.0, "max_seq_len": 8192}


def scaled(kind: str, factor: float = 4.0, **changes) -> ModelConfig:
    return tiny_config(**LONG, rope_scaling=kind, rope_factor=factor, **changes)


@pytest.mark.parametrize("kind", ["linear", "yarn"])
@pytest.mark.parametrize("factor", [1.5, 4.0, 16.0])
def test_transformers_has_the_same_frequencies(kind, factor):
    utilities = pytest.importorskip("transformers.modeling_rope_utils")
    pytest.importorskip("torch")
    config = plainly_stated(scaled(kind, factor))
    theirs = types.SimpleNamespace(
        rope_theta=config.rope_theta, head_dim=64, hidden_size=256, num_attention_heads=4,
        max_position_embeddings=8192,
        rope_scaling={
            "rope_type": kind,
            "factor": factor,
            "original_max_position_embeddings": config.rope_original_len,
        },
    )  # fmt: skip
    found, size = utilities.ROPE_INIT_FUNCTIONS[kind](theirs, "cpu")
    np.testing.assert_allclose(frequencies(config), found.numpy(), rtol=1e-6)
    cos, _ = rope_tables(config)
    assert cos[0, 0] == np.float32(size)


def test_ntk_keeps_the_fastest_and_divides_the_slowest():
    config, plain = scaled("ntk"), tiny_config(**LONG)
    ratio = frequencies(plain) / frequencies(config)
    assert ratio[0] == 1 and ratio[-1] == pytest.approx(4.0, rel=1e-6)
    stated = plainly_stated(config)
    assert stated.rope_scaling == "none" and stated.rope_theta == scaled_theta(config)
    assert np.array_equal(rope_tables(stated)[1], rope_tables(config)[1])


@pytest.mark.parametrize("kind", ["linear", "ntk", "yarn"])
def test_a_factor_of_one_changes_nothing(kind):
    for ours, plain in zip(rope_tables(scaled(kind, 1.0)), rope_tables(tiny_config(**LONG))):
        np.testing.assert_allclose(ours, plain, atol=1e-6)


def test_linear_positions_are_those_of_the_old_context():
    short = tiny_config(**{**LONG, "max_seq_len": 2048})
    assert np.abs(rope_tables(scaled("linear"))[0][::4] - rope_tables(short)[0]).max() < 1e-6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rope_scaling": "dynamic"}, "model.rope_scaling is dynamic; it must be none, linear"),
        ({"rope_factor": 2.0}, "model.rope_factor is 2.0, but model.rope_scaling is none"),
        ({"rope_scaling": "linear", "rope_factor": 0.5}, "model.rope_factor is 0.5; it must be at"),
        ({"rope_scaling": "linear", "rope_original_len": 9}, "rope_original_len is for"),
        ({"rope_scaling": "yarn", "rope_original_len": 0}, "rope_original_len is 0"),
        ({"rope_scaling": "ntk", "dim": 8}, "needs heads of more than 2 numbers"),
    ],
)
def test_errors_name_the_field(changes, says):
    with pytest.raises(ValueError, match=says):
        tiny_config(**changes)
