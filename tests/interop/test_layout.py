"""How many devices a run can be handed to, and how the command line says so."""

import pytest

from common.errors import UserError
from interop.layout import Layout
from interop.options import parse_options
from recipe import load_recipe
from tests.interop.cases import REPO

ARGUMENTS = ["--run", "out/demo", "--format", "mindformers", "--output", "out"]


def recipe(*overrides):
    """32 heads, 4 key heads, 22 layers, a vocabulary of 64,794 ids; 16 rows of 2,048 a step."""
    overrides = ["--train.tokens_per_step", str(16 * 2048), "--train.micro_batch", "1", *overrides]
    file = REPO / "configs" / "tinyllama-1.1b-zh.yaml"
    return load_recipe(file, ["--model.vocab_size", "64794", *overrides])


def test_copies_and_micro_batches():
    assert Layout(8).data_parallel == 8
    layout = Layout(16, model_parallel=2, pipeline_stages=2)
    assert layout.data_parallel == 4
    assert layout.micro_batches(recipe()) == 4
    assert Layout(1).micro_batches(recipe()) == 16


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((0,), "--devices is 0; it must be at least 1"),
        ((8, -2), "--model_parallel is -2; it must be at least 1"),
        ((8, 3, 2), "--devices is 8; it must be a multiple of --model_parallel 3 times"),
    ],
)
def test_devices_that_do_not_multiply(sizes, says):
    with pytest.raises(UserError, match=says):
        Layout(*sizes)


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        (Layout(5, model_parallel=5), "must divide n_heads, which is 32"),
        (Layout(8, model_parallel=8), "must divide n_kv_heads, which is 4"),
        (Layout(4, pipeline_stages=4), "must divide n_layers, which is 22"),
        (Layout(32), "tokens_per_step is 32768; with 32 copies .* a multiple of 65536"),
        (Layout(32, pipeline_stages=2), "has 1 micro-batches, fewer than the 2 pipeline stages"),
    ],
)
def test_runs_that_cannot_be_spread(layout, says):
    with pytest.raises(UserError, match=says):
        layout.micro_batches(recipe())


def test_the_command_line():
    assert parse_options(ARGUMENTS).layout is None
    options = parse_options([*ARGUMENTS, "--devices", "8", "--pipeline_stages", "2"])
    assert options.layout == Layout(8, pipeline_stages=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*ARGUMENTS, "--model_parallel", "2"], "--model_parallel needs --devices"),
        (["--run", "a", "--format", "hf", "--output", "b", "--devices", "8"], "for --format mindf"),
        ([*ARGUMENTS, "--devices", "many"], "invalid int value"),
    ],
)
def test_options_that_do_not_fit(arguments, says):
    with pytest.raises(UserError, match=says):
        parse_options(arguments)
