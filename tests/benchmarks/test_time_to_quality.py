"""The time-to-quality benchmark runs, and scores the peer as the peer scores itself."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import time_to_quality as benchmark
from corpus.pipeline import build
from corpus.token_file import open_split
from recipe import load_recipe

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("graph_mode")

RECIPE = """
name: tiny
out_dir: {folder}/out
tokenizer: {{kind: sentencepiece, vocab_size: 600}}
data:
  dir: {folder}/data
  sources:
    - {{reader: jsonl, path: {repo}/tests/data/corpus.jsonl, field: text}}
  val_fraction: 0.1
model: {{dim: 32, n_layers: 1, n_heads: 2, max_seq_len: 32}}
train: {{tokens_per_step: 128, micro_batch: 4, learning_rate: 3.0e-3, warmup_steps: 5}}
eval: {{prompts: [a]}}
"""


@pytest.fixture(scope="module")
def config(repo, tmp_path_factory) -> Path:
    """A tiny recipe with its data."""
    folder = tmp_path_factory.mktemp("quality")
    path = folder / "tiny.yaml"
    path.write_text(RECIPE.format(folder=folder, repo=repo), encoding="utf-8")
    recipe = load_recipe(path)
    build(recipe.tokenizer, recipe.data)
    return path


def test_the_peer_scores_itself_alike(config, tmp_path):
    from safetensors.torch import save_file

    from benchmarks.time_to_quality_torch import initialise, our_name
    from benchmarks.train_step_torch import Llama

    recipe = load_recipe(config)
    torch.manual_seed(0)
    peer = Llama(640, 32, 1, 2, 32)
    initialise(peer)
    with torch.no_grad():
        for parameter in peer.parameters():  # far from uniform scores
            parameter.mul_(3.0)
    weights = tmp_path / "peer.safetensors"
    save_file({our_name(name): p.detach() for name, p in peer.named_parameters()}, weights)
    trained = benchmark.Trained("usual", weights, 1, 1, 1.0)
    masked = replace(recipe, model=replace(recipe.model, document_mask=True))
    result = benchmark.score(masked, trained)  # the peer knows no such mask

    _, file = open_split(recipe.data.dir)
    ids = torch.from_numpy(file.read(0, file.n_tokens).astype(np.int64))
    pad = -(len(ids) - 1) % 32
    tokens = torch.nn.functional.pad(ids[:-1], (0, pad)).view(-1, 32)
    targets = torch.nn.functional.pad(ids[1:], (0, pad), value=-100).view(-1, 32)  # -100: no target
    nats = peer(tokens, targets).item() * (len(ids) - 1)
    assert result.tokens == len(ids) - 1
    assert result.nats == pytest.approx(nats, rel=1e-5)


def test_the_peers_learning_rate():
    from benchmarks.time_to_quality_torch import rate

    assert rate(0, 10, 100) == pytest.approx(0.1) and rate(9, 10, 100) == 1.0
    assert rate(55, 10, 100) == pytest.approx(0.55) and rate(100, 10, 100) == pytest.approx(0.1)
    assert rate(400, 1000, 500) == pytest.approx(0.401)  # the usual warm-up outlasts the run


def test_contenders_have_the_environment_of_the_start(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(sys, "argv", ["time_to_quality"])
    args = benchmark.parse_options()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as importing MindSpore does
    command = ["-c", "import os; print(os.environ.get('OMP_NUM_THREADS'))"]
    assert benchmark.run(command, args.environment) == "None\n"


@pytest.mark.slow
def test_two_contenders(config, monkeypatch, capsys):
    pretrain = benchmark.pretrain

    def without_start_up(*args):  # so that a slow machine does not run out of time
        pretrain(*args)
        return 0.0

    monkeypatch.setattr(benchmark, "pretrain", without_start_up)
    options = ["--config", config, "--minutes", "0.05", "--pilot-steps", "10"]
    options += ["--contenders", "ours", "usual", "--peer-eager"]
    monkeypatch.setattr(sys, "argv", ["time_to_quality", *map(str, options)])
    assert benchmark.main() == 0
    lines = re.findall(r"  (\w+) +([\d.]+) bits/byte .* ([\d,]+) steps", capsys.readouterr().out)
    assert [name for name, _, _ in lines] == ["ours", "usual"]
    # A fast machine learns the little text by heart.
    assert all(0 < float(bits) < 20 for _, bits, _ in lines)
    assert all(int(steps.replace(",", "")) >= 1 for _, _, steps in lines)
