"""The frame of every export: checked before it is published, and nothing left if it fails."""

import dataclasses

import numpy as np
import pytest

from common.errors import UserError
from interop import registry
from interop.exporter import check_config, compare, export, put
from interop.formats import FORMAT_MODULES
from interop.names import check_shapes, foreign_names, parameter_shapes
from interop.new_folder import new_folder
from interop.options import parse_options
from interop.registry import FORMATS, Format, choose_dtype, find_format
from interop.rope_layout import from_interleaved, interleave, to_interleaved
from model.config import ModelConfig
from tests.interop.cases import FORMS, make_run, weights_of


@pytest.fixture(scope="module")
def broken(graph_mode, tokenizer, tmp_path_factory):
    """A run, and what a format would read back of it."""
    run = make_run(tmp_path_factory.mktemp("broken"), tokenizer)
    return run, run.recipe.model, weights_of(run)


def read_back(monkeypatch, config, weights, tolerance=0.0):
    """Make `hf` a format that writes one file and reads back these."""
    find_format("hf")  # registers the true one, or that would happen later and undo this
    fake = Format(
        write=lambda run, folder: (folder / "file").write_text("x") and None,
        read_back=lambda folder: (config, weights),
        tolerances={"float32": tolerance},
    )
    monkeypatch.setitem(registry.FORMATS, "hf", fake)


def test_what_reads_back_alike_is_published(broken, monkeypatch, tmp_path):
    run, config, weights = broken
    read_back(monkeypatch, config, weights)
    summary = export(run, "hf", tmp_path / "new" / "out")
    assert "differ by at most 0 of the largest score; the most likely id is the same" in summary
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "out", "file"]


def test_a_wrong_number_leaves_nothing(broken, monkeypatch, tmp_path):
    run, config, weights = broken
    name = "layers.1.attention.wk.weight"
    read_back(monkeypatch, config, {**weights, name: interleave(weights[name], 2)})
    with pytest.raises(UserError, match="failed its check: .* 0 is allowed, nothing was written"):
        export(run, "hf", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_wrong_shape_leaves_nothing(broken, monkeypatch, tmp_path):
    run, config, weights = broken
    read_back(monkeypatch, dataclasses.replace(config, rope_theta=5e5), weights)
    with pytest.raises(UserError, match="rope_theta is 500000.0 when it is read back"):
        export(run, "hf", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"tensor embedding has shape \(64, 32\)"):
        put({**weights, "embedding": weights["embedding"][:64]}, run.load_model())


def test_a_folder_in_use_is_not_written_to(broken, tmp_path):
    (tmp_path / "mine").write_text("x")
    for path in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UserError, match="exists already; choose another folder"):
            export(broken[0], "hf", path)
    with new_folder(tmp_path / "empty") as folder:
        assert not (tmp_path / "empty").exists()
        (folder / "deeper").mkdir()
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["deeper"]
    with new_folder(tmp_path / "empty" / "deeper"):
        pass


def test_scores_that_are_no_numbers_fail():
    right = np.ones((2, 3), np.float32)
    with pytest.raises(UserError, match="failed its check"):
        compare(np.full_like(right, np.nan), right, 1.0)
    assert "differ by at most 0.5 of" in compare(right * 1.5, right, 0.5)


def test_what_no_format_knows_is_not_compared():
    config = ModelConfig(vocab_size=600, document_mask=True, dropout=0.1)
    foreign = dataclasses.replace(config, vocab_size=640, document_mask=False, dropout=0.0)
    check_config(foreign, config)
    with pytest.raises(UserError, match="padded_vocab_size is 704"):
        check_config(dataclasses.replace(config, vocab_size=650), config)


@pytest.mark.parametrize("name", FORMAT_MODULES)
def test_every_format_registers_itself(name):
    assert find_format(name).tolerances
    assert FORMATS.keys() <= FORMAT_MODULES.keys()


def test_unknown_formats_and_types():
    with pytest.raises(UserError, match="format 'onnx' is unknown; the formats are hf, llama2c"):
        find_format("onnx")
    tolerances = {"float32": 0.0, "float16": 0.1}
    assert choose_dtype("hf", tolerances, None) == "float32"
    with pytest.raises(UserError, match="hf cannot hold weights of type int4; it has float32, fl"):
        choose_dtype("hf", tolerances, "int4")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--format", "hf", "--output", "x"], "required: --run"),
        (["--run", "x", "--format", "onnx", "--output", "x"], "invalid choice: 'onnx'"),
        (["--run", "x", "--format", "hf", "--output", "x", "--fast"], "unrecognized .* --fast"),
    ],
)
def test_a_wrong_command_line(argv, says):
    with pytest.raises(UserError, match=says):
        parse_options(argv)


@pytest.mark.parametrize("form", FORMS)
def test_the_names_are_those_of_the_network(form, graph_mode):
    from model.llama import Llama

    config = ModelConfig(dim=32, n_layers=2, n_heads=4, vocab_size=64, **FORMS[form])
    network = Llama(config)
    shapes = {parameter.name: parameter.shape for parameter in network.get_parameters()}
    assert parameter_shapes(config) == shapes
    check_shapes(shapes, parameter_shapes(config), "x")
    for dialect in ("hf", "gguf", "mindformers"):
        names = foreign_names(config, dialect)
        assert names.keys() == shapes.keys() and len({*names.values()}) == len(shapes)


def test_a_few_names_by_heart():
    config = ModelConfig(dim=32, n_layers=2, vocab_size=64, n_heads=4, tie_embeddings=False)
    name = "layers.1.feed_forward.w2.weight"
    assert foreign_names(config, "hf")[name] == "model.layers.1.mlp.down_proj.weight"
    assert foreign_names(config, "gguf")[name] == "blk.1.ffn_down.weight"
    assert foreign_names(config, "gguf")["output"] == "output.weight"
    assert foreign_names(config, "mindformers")["norm.weight"] == "model.norm_out.weight"


def test_the_two_orders_of_rows():
    # One head of 4: its pairs are (0, 2), (1, 3) in halves, and stand side by side interleaved.
    assert interleave(np.arange(8), 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    config = ModelConfig(dim=32, n_layers=1, n_heads=4, vocab_size=64, **FORMS["biased"])
    rng = np.random.default_rng(0)
    weights = {name: rng.random(shape) for name, shape in parameter_shapes(config).items()}
    turned = to_interleaved(weights, config)
    changed = {name.split(".")[-2] for name in weights if (turned[name] != weights[name]).any()}
    assert changed == {"wq", "wk"}
    back = from_interleaved(turned, config)
    assert all((back[name] == weights[name]).all() for name in weights)
