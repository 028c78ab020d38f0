"""Checkpoints of an adapter alone: what they hold, and that their base is the one they name."""

import shutil

import numpy as np
import pytest
from mindspore import Tensor
from safetensors.numpy import load_file

from common.errors import UserError
from generation.decoding import Decoder
from model.adapters import adapter_shapes, add_adapters
from model.config import AdapterConfig
from model.llama import Llama, Logits
from runs.base import BASE, Base, load_adapted
from runs.checkpoint import ADAPTER, WEIGHTS
from runs.run import Run
from tests.interop.cases import (
    adapted_network,
    make_adapter_run,
    make_run,
    make_tokenizer,
)
from tests.model.cases import values

CONFIG = AdapterConfig(kind="lora", rank=2, targets=["wq", "wo", "w2"], train_norms=True)
IDS = [2, 40, 41, 42, 43]


@pytest.fixture(scope="module")
def base_run(graph_mode, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    return make_run(folder, make_tokenizer(folder), n_kv_heads=2)


def logits(network: Llama) -> np.ndarray:
    rows = np.array([IDS], np.int32)
    return Logits(network)(Tensor(rows), Tensor(np.zeros_like(rows))).asnumpy()[0]


@pytest.fixture(scope="module")
def network(base_run):
    return adapted_network(base_run.load_model(), CONFIG)


@pytest.fixture(scope="module")
def run(base_run, network):
    return make_adapter_run(base_run, network, CONFIG, "adapted")


def test_a_checkpoint_holds_the_adapter_alone(run, base_run, network):
    checkpoint = run.newest_checkpoint()
    assert checkpoint.has_adapter and not base_run.newest_checkpoint().has_adapter
    assert not (checkpoint.path / WEIGHTS).exists()
    held = load_file(checkpoint.path / ADAPTER)
    shapes = {name: value.shape for name, value in held.items()}
    assert shapes == adapter_shapes(network.config, CONFIG)
    base = checkpoint.state()["base"]
    assert base["file"] == "../debug/checkpoints/step_00000020/weights.safetensors"


def test_decoding_on_the_cpu_equals_the_adapted_network(run, base_run, network):
    """The merged weights give the adapted network's logits, whole rows and id by id."""
    right = logits(network)
    assert np.abs(right - logits(base_run.load_model())).max() > 0.1
    merged = run.load_model()
    tolerance = 1e-5 * max(1, np.abs(right).max())
    assert np.abs(logits(merged) - right).max() <= tolerance
    for each in (merged, network):  # the kernels merge an adapter that training has open
        decoder = Decoder(each)
        found = [decoder.begin([IDS[1:3]], IDS[0], 10)[0].copy()]
        found += [decoder.feed([token])[0].copy() for token in IDS[3:]]
        assert np.abs(np.array(found) - right[2:]).max() <= 2 * tolerance


def test_as_int8_and_as_the_base_of_another(run, network):
    from interop.source import open_source

    merged = values(run.load_model())
    source = open_source(run.path)
    assert all((source.weights[name] == value).all() for name, value in merged.items())
    right = logits(network)
    quantised = logits(run.load_model(weights="int8"))
    assert np.abs(quantised - right).max() < 0.1 * np.abs(right).max()


def test_training_goes_on_from_the_adapter_and_its_base(run, network):
    other = Llama(network.config, seed=None)
    add_adapters(other, CONFIG, seed=None)
    base = load_adapted(run.newest_checkpoint(), list(other.get_parameters()))
    assert base == Base.named_by(run.newest_checkpoint())
    for found, right in zip(other.get_parameters(), network.get_parameters()):
        assert (found.asnumpy() == right.asnumpy()).all(), found.name


def test_a_base_that_no_checkpoint_holds_is_kept_with_the_run(base_run, network):
    weights = values(base_run.load_model())
    base = Base.write(base_run.path.parent / "foreign", weights)
    run = make_adapter_run(base_run, network, CONFIG, "foreign", base)
    assert run.newest_checkpoint().state()["base"]["file"] == BASE
    assert np.abs(logits(run.load_model()) - logits(network)).max() < 1e-4


def test_an_adapter_on_another_base_is_refused(run, base_run, tmp_path):
    for folder in ("debug", "adapted"):
        shutil.copytree(base_run.path.parent / folder, tmp_path / folder)
    run = Run.open(tmp_path / "adapted")
    run.load_model()  # both were moved together
    moved = Run.open(tmp_path / "debug")
    moved.checkpoints.save(20, values(adapted_base(base_run)), {}, {})
    with pytest.raises(UserError, match="holds an adapter of another base than .* is now; put"):
        run.load_model()
    shutil.rmtree(moved.path)
    with pytest.raises(UserError, match="holds an adapter of .*, which is missing; put it back"):
        run.load_model()


def adapted_base(base_run: Run) -> Llama:
    network = base_run.load_model()
    network.norm.weight.set_data(network.norm.weight + 1)
    return network


def test_another_rank_than_was_trained(run):
    changed = Run.open(run.path, ["--adapter.rank", "3"])
    with pytest.raises(UserError, match="has shape .* the model wants .*; use the run's own"):
        changed.load_model()
