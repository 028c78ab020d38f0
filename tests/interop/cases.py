"""Tiny runs of every form, without training: what is exported, and what others start from."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mindspore import Tensor

from corpus.token_file import TRAIN_NAME, TokenFile, TokenFileWriter
from model.adapters import add_adapters
from model.config import AdapterConfig
from model.llama import Llama
from recipe import Recipe, load_recipe
from runs.base import Base
from runs.checkpoint import copy_values
from runs.run import Run
from tests.model.cases import lively, values
from tokenizer.tokenizer import Tokenizer, load_tokenizer
from tokenizer.train import train_sentencepiece

REPO = Path(__file__).resolve().parent.parent.parent
STEPS = 20
FORMS = {
    "tied": {"n_kv_heads": 4},
    "untied": {"n_kv_heads": 4, "tie_embeddings": False},
    "grouped": {"n_kv_heads": 2},
    "biased": {"n_kv_heads": 2, "attention_bias": True, "rope_theta": 1e6, "norm_eps": 1e-6},
}
# Stretched to a longer context; for the formats that can say so.
SCALED = {
    kind: {"n_kv_heads": 2, "rope_scaling": kind, "rope_factor": 4.0, "rope_theta": 100.0}
    for kind in ("linear", "ntk", "yarn")
}


def corpus_texts() -> list[str]:
    lines = (REPO / "tests" / "data" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    texts = []
    for line in lines:
        try:
            texts.append(json.loads(line)["text"])
        except (ValueError, KeyError, TypeError):
            continue
    return texts


def make_tokenizer(folder: Path, vocab_size: int = 600, reserved: Sequence[str] = ()) -> Tokenizer:
    """A vocabulary as data_process.py trains it; 600 ids are padded to 640 rows."""
    model_file = folder / "tokenizer.model"
    train_sentencepiece(corpus_texts(), vocab_size, model_file, reserved=reserved)
    return load_tokenizer("sentencepiece", model_file)


def make_recipe(folder: Path, tokenizer: Tokenizer, **model) -> Recipe:
    overrides = ["--out_dir", str(folder / "out"), "--data.dir", str(folder / "data")]
    overrides += ["--train.micro_batch", "1"]
    recipe = load_recipe(REPO / "configs" / "debug.yaml", overrides)
    model = {"dim": 32, "hidden_dim": 64, **model, "vocab_size": tokenizer.vocab_size}
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, **model))


def make_run(folder: Path, tokenizer: Tokenizer, **model) -> Run:
    """A run in `folder`/out/debug whose weights, norms and biases are of order 0.2."""
    recipe = make_recipe(folder, tokenizer, **model)
    run = Run(recipe.run_dir, recipe)
    run.create(tokenizer)
    network = lively(Llama(recipe.model))
    run.checkpoints.save(STEPS, values(network), {}, {})
    return run


def make_data(run: Run) -> TokenFile:
    """The training file of a run, without a manifest."""
    path, tokenizer = Path(run.recipe.data.dir) / TRAIN_NAME, run.tokenizer()
    with TokenFileWriter(path, tokenizer.vocab_size) as writer:
        for text in corpus_texts():
            writer.write([*tokenizer.encode(text), tokenizer.eos_id])
    return TokenFile.open(path)


def weights_of(run: Run):
    return values(run.load_model())


def adapted_network(base: Llama, config: AdapterConfig) -> Llama:
    """A network with the weights of `base` and an adapter that moves its logits."""
    network = Llama(base.config, seed=None)
    for parameter, other in zip(network.get_parameters(), base.get_parameters()):
        parameter.set_data(Tensor(other.asnumpy().copy()))
    add_adapters(network, config)
    rng = np.random.default_rng(6)
    for parameter in network.trainable_params():
        moved = parameter.asnumpy() + 0.3 * rng.standard_normal(parameter.shape)
        parameter.set_data(Tensor(moved.astype(np.float32)))
    return network


def make_adapter_run(
    base_run: Run, network: Llama, config: AdapterConfig, name: str, base: Base | None = None
) -> Run:
    """A run beside `base_run` whose one checkpoint holds the adapter of `network`."""
    train = dataclasses.replace(base_run.recipe.train, init_from=str(base_run.path))
    recipe = dataclasses.replace(base_run.recipe, name=name, adapter=config, train=train)
    run = Run(recipe.run_dir, recipe)
    run.create(base_run.tokenizer())
    base = base or Base.of(base_run.newest_checkpoint())
    state = {"base": base.state(run.path)}
    run.checkpoints.save(1, copy_values(network.trainable_params()), {}, state)
    return Run.open(run.path)
