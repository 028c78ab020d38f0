"""What is handed to MindFormers: its own names, and a recipe whose first loss is ours."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from mindspore.dataset import MindDataset
from safetensors.numpy import load_file

from common.errors import UserError
from interop.exporter import export, load
from interop.layout import Layout
from interop.mindformers import format as mindformers
from interop.mindformers import recipe as mindformers_recipe
from interop.mindformers import scale as mindformers_scale
from tests.interop.cases import FORMS, make_data, make_run
from tests.interop.mindformers.test_megatron import read
from training.config import TrainConfig

pytestmark = pytest.mark.usefixtures("graph_mode")

TRAINER = Path(__file__).parents[1] / "mindformers_trainer.py"


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mindformers") / "out"
    return folder, export(run, "mindformers", folder)


def test_the_folder(exported, run):
    folder, summary = exported
    assert "differ by at most 0 of the largest score" in summary
    weights, ours = load_file(folder / "checkpoint" / "model.safetensors"), load(run, "float32")[1]
    embedding = weights["model.tok_embeddings.embedding_weight"]
    assert (embedding == ours.weights["embedding"]).all()
    name = "layers.1.attention.wk.weight"
    assert (weights[f"model.{name}"] == ours.weights[name]).all()
    assert "lm_head.weight" not in weights, "the tables are tied"


def test_the_recipe_says_what_the_run_is(exported, run):
    recipe = yaml.safe_load((exported[0] / "train.yaml").read_text(encoding="utf-8"))
    model, config = recipe["model"]["model_config"], run.recipe.model
    assert (model["hidden_size"], model["vocab_size"]) == (config.dim, config.padded_vocab_size)
    assert (model["n_kv_heads"], model["theta"]) == (config.n_kv_heads, config.rope_theta)
    assert recipe["lr_schedule"]["learning_rate"] == run.recipe.train.learning_rate


def test_the_rows_are_full_of_documents(exported, run):
    folder = exported[0]
    data = MindDataset(str(folder / "data" / "check.mindrecord"), shuffle=False)
    rows = np.stack([row["input_ids"] for row in data.create_dict_iterator(output_numpy=True)])
    assert rows.shape == (mindformers.ROWS, run.recipe.model.max_seq_len + 1)
    assert (rows == mindformers.check_rows(run.tokenizer(), run.recipe.model.max_seq_len)).all()
    assert (rows == run.tokenizer().eos_id).any()
    assert (folder / "data" / "check.mindrecord").stat().st_size < 2_000_000


def test_documents_that_do_not_see_each_other(tokenizer, tmp_path):
    run = make_run(tmp_path / "run", tokenizer, document_mask=True)
    with pytest.raises(UserError, match="this run has model.document_mask true"):
        mindformers.write(load(run, "float32")[1], tmp_path)


@pytest.fixture(scope="module")
def spread(tokenizer, tmp_path_factory):
    """A run with its data, and the folder for four devices that it was exported to."""
    folder = tmp_path_factory.mktemp("spread")
    run = make_run(folder / "run", tokenizer)
    data = make_data(run)
    export(run, "mindformers", folder / "out", layout=Layout(4, model_parallel=2))
    return run, data, folder / "out"


def test_the_training_data_goes_along(spread):
    run, data, folder = spread
    documents = read(folder / "data" / "train")
    assert sum(documents, []) == data.read(0, data.n_tokens).tolist()
    assert all(document[-1] == run.tokenizer().eos_id for document in documents)
    head = (folder / "scale.yaml").read_text(encoding="utf-8").split("seed:")[0]
    assert f"reads the {len(documents):,} documents of ./data/train.bin" in head
    assert "--worker_num=4 --local_worker_num=4" in head


def test_the_recipe_for_several_devices(spread):
    """Of 256 tokens a step, each of two copies gets two micro-batches of one row of 64."""
    recipe = yaml.safe_load((spread[2] / "scale.yaml").read_text(encoding="utf-8"))
    assert recipe["parallel_config"]["data_parallel"] == 2
    assert recipe["parallel_config"]["model_parallel"] == 2
    assert recipe["parallel"]["dataset_strategy"] == [[2, 1]] * 4
    assert recipe["parallel"]["enable_parallel_optimizer"] and recipe["auto_trans_ckpt"]
    assert recipe["runner_config"]["batch_size"] == 1
    assert recipe["runner_config"]["gradient_accumulation_steps"] == 2
    assert recipe["train_dataset"]["data_loader"]["sizes"] == [20 * 4, 0, 0]
    assert recipe["lr_schedule"]["total_steps"] == 20


def test_the_recipe_for_a_pipeline(run):
    exported = load(run, "float32", Layout(4, pipeline_stages=2))[1]
    recipe = mindformers_scale.scale_recipe(exported)
    assert recipe["parallel_config"]["pipeline_stage"] == 2
    assert recipe["parallel_config"]["micro_batch_num"] == 2
    assert recipe["runner_config"]["gradient_accumulation_steps"] == 1


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        ("cosine", {"type": "CosineWithWarmUpLR"}),
        ("linear", {"type": "PolynomialWithWarmUpLR"}),
        ("wsd", {"type": "WarmUpStableDecayLR", "decay_start_steps": 17}),
    ],
)
def test_the_schedule(schedule, theirs):
    """Of 20 steps 5 are warm-up; a fifth of the other 15 is decay."""
    train = TrainConfig(max_steps=20, warmup_steps=5, schedule=schedule, decay_ratio=0.2)
    assert mindformers_recipe.lr_schedule(train).items() >= theirs.items()


def test_data_that_is_gone(run, tmp_path):
    exported = load(run, "float32", Layout(1))[1]
    with pytest.raises(UserError, match="pretrain_data.bin does not exist; run python data_proc"):
        mindformers_scale.write_scale(exported, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_its_trainer_begins_with_our_loss(form, tokenizer, tmp_path):
    run = make_run(tmp_path / "run", tokenizer, **FORMS[form])
    folder = tmp_path / "out"
    folder.mkdir()
    mindformers.write(load(run, "float32")[1], folder)
    head = (folder / "train.yaml").read_text(encoding="utf-8")
    promised = float(re.search(r"first step prints loss ([\d.]+):", head)[1])
    assert first_loss("train.yaml", folder, tmp_path) == pytest.approx(promised, abs=2e-4)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="MindFormers compiles a reader of such files")
def test_it_begins_with_our_loss_on_the_token_file(tokenizer, tmp_path):
    """The recipe for one device, and rows that MindFormers makes of the token file."""
    run = make_run(tmp_path / "run", tokenizer, n_kv_heads=2)
    data, folder = make_data(run), tmp_path / "out"
    export(run, "mindformers", folder, layout=Layout(1))
    loss = first_loss("scale.yaml", folder, tmp_path)
    batch = np.load(folder / "batch.npz")
    tokens, targets = batch["input_ids"], batch["labels"]
    assert tokens.shape == (4, run.recipe.model.max_seq_len)
    assert (tokens[:, 1:] == targets[:, :-1]).all() and (batch["loss_mask"] == 1).all()
    rows = np.concatenate([tokens, targets[:, -1:]], 1).astype(np.int32)
    ours = data.read(0, data.n_tokens).astype("<i4").tobytes()
    for row in rows:
        for document in np.split(row, np.flatnonzero(row == run.tokenizer().eos_id) + 1):
            assert document.astype("<i4").tobytes() in ours
    right = mindformers.loss_on(rows, load(run, "float32")[1])
    assert loss == pytest.approx(right, abs=2e-4)


def first_loss(recipe, folder, scratch):
    """What MindFormers' Trainer prints for its first step."""
    done = subprocess.run(
        [sys.executable, TRAINER, recipe],
        cwd=folder,
        env={**os.environ, "LOCAL_DEFAULT_PATH": str(scratch)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.search(r"step:\[ +1/ +1\], loss:\[([\d.]+)/", done.stdout + done.stderr)
    return float(found[1])
