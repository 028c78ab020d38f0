"""The recipes of LongLoRA by their commands, on small models."""

import dataclasses
import json

import pytest

from interop.exporter import export
from recipe import REPO
from runs.run import Run
from tests.evaluation.cases import make_run

CONFIGS = REPO / "configs"


@pytest.fixture(scope="module")
def base(tmp_path_factory, graph_mode):
    """An untrained run of contexts of 64 tokens."""
    return make_run(tmp_path_factory.mktemp("base"))


def test_contexts_grow_by_groups_and_the_export_says_so(base, run_command, tmp_path):
    model, folder = base.recipe.model, base.recipe.data.dir
    corpus = REPO / "tests" / "data" / "corpus.jsonl"
    options = {
        "--config": CONFIGS / "longlora-demo.yaml", "--out_dir": tmp_path,
        "--tokenizer.path": f"{folder}/tokenizer.model", "--tokenizer.vocab_size": 600,
        "--data.dir": folder, "--data.sources": f"[{{reader: jsonl, path: {corpus}}}]",
        "--model.dim": model.dim, "--model.n_layers": model.n_layers,
        "--model.n_kv_heads": model.n_kv_heads, "--model.max_seq_len": 4 * model.max_seq_len,
        "--adapter.attention_group": model.max_seq_len, "--train.init_from": base.path,
        "--train.tokens_per_step": 512, "--train.micro_batch": 1, "--train.max_steps": 2,
        "--train.warmup_steps": 0, "--train.eval_interval": 2, "--train.eval_rows": 2,
        "--train.save_interval": 2, "--train.log_interval": 1,
    }  # fmt: skip
    done = run_command("pretrain.py", *(part for option in options.items() for part in option))
    assert done.returncode == 0, done.stderr
    assert "trained: " in done.stdout and "it was trained on contexts of 64 tokens" in done.stdout
    run = Run.open(tmp_path / "longlora-demo")
    trained = run.split_weights()[1]
    assert {"embedding", "norm.weight", "layers.0.attention.wq.lora_a"} <= trained.keys()
    assert "differ by at most" in export(run, "hf", tmp_path / "hf")
    config = json.loads((tmp_path / "hf" / "config.json").read_text(encoding="utf-8"))
    assert config["max_position_embeddings"] == 256
    assert config["rope_scaling"]["rope_type"] == "linear"
    assert config["rope_scaling"]["factor"] == 4.0


def test_the_plan_from_2048_to_8192_tokens(base, run_command, tmp_path):
    """The large recipe on a small model of contexts of 2,048, whose shape it takes."""
    longer = dataclasses.replace(base.recipe.model, max_seq_len=2048)
    train = dataclasses.replace(base.recipe.train, tokens_per_step=2048, micro_batch=1)
    recipe = dataclasses.replace(base.recipe, name="long-base", model=longer, train=train)
    run = Run(tmp_path / "long-base", recipe)
    run.create(base.tokenizer())
    (tmp_path / "long-base" / "checkpoints").symlink_to(base.path / "checkpoints")
    dialogues = REPO / "tests" / "data" / "dialogues.jsonl"
    options = (
        *("--config", CONFIGS / "longlora-8k.yaml", "--out_dir", tmp_path),
        *("--data.dir", tmp_path / "dialogues", "--train.init_from", run.path),
        *("--data.sources", f"[{{reader: messages, path: {dialogues}}}]"),
        *("--data.val_fraction", "0.15"),
    )
    done = run_command("data_process.py", *options)
    assert done.returncode == 0, done.stderr
    done = run_command("post_train.py", *options, "--plan")
    assert done.returncode == 0, done.stderr
    assert "dim 64, 2 layers" in done.stdout and "context 8192" in done.stdout
    assert "(rank 8 beside wq, wk, wv, wo, w1, w2, w3) + whole " in done.stdout
    assert "rows of 8192 ids" in done.stdout and "1,000 steps of 524,288 tokens" in done.stdout
    assert not (tmp_path / "longlora-8k").exists()
