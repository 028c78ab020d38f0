"""What is handed to MindFormers: its own names, and a recipe whose first loss is ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from mindspore.dataset import MindDataset
from safetensors.numpy import load_file

from common.errors import UserError
from interop import mindformers
from interop.exporter import export, load
from tests.interop.cases import FORMS, make_run

pytestmark = pytest.mark.usefixtures("graph_mode")

TRAINER = Path(__file__).parent / "mindformers_trainer.py"


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mindformers") / "out"
    return folder, export(run, "mindformers", folder)


def test_the_folder(exported, run):
    folder, told = exported
    assert "differ by at most 0 of the largest score" in told
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


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_its_trainer_begins_with_our_loss(form, tokenizer, tmp_path):
    run = make_run(tmp_path / "run", tokenizer, **FORMS[form])
    folder = tmp_path / "out"
    folder.mkdir()
    mindformers.write(load(run, "float32")[1], folder)
    head = (folder / "train.yaml").read_text(encoding="utf-8")
    promised = float(re.search(r"first step prints loss ([\d.]+):", head)[1])
    done = subprocess.run(
        [sys.executable, TRAINER],
        cwd=folder,
        env={**os.environ, "LOCAL_DEFAULT_PATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first = re.search(r"step:\[ +1/ +1\], loss:\[([\d.]+)/", done.stdout + done.stderr)
    assert float(first[1]) == pytest.approx(promised, abs=2e-4)
