"""The commands of docs/data_at_scale.md, run in a folder with a small mine.yaml."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

RECIPE = """
name: mine
tokenizer: {kind: sentencepiece, vocab_size: 600}
data:
  dir: data/mine
  sources: [{reader: jsonl, path: CORPUS, field: text}]
  val_fraction: 0.1
model: {dim: 64, n_layers: 2, n_heads: 4, max_seq_len: 64}
train: {max_steps: 2, tokens_per_step: 256, micro_batch: 4}
eval: {prompts: [小明在学校]}
"""
ROUNDS = 9


def commands(repo, guide):
    text = (repo / "docs" / guide).read_text(encoding="utf-8")
    return [
        line
        for block in re.findall(r"```bash\n(.*?)```", text, re.S)
        for line in block.split("\n")
        if line
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory, repo):
    folder = tmp_path_factory.mktemp("guide")
    corpus = repo / "tests" / "data" / "corpus.jsonl"
    (folder / "mine.yaml").write_text(RECIPE.replace("CORPUS", str(corpus)), encoding="utf-8")
    for name in ("data_process.py", "corpus"):
        (folder / name).symlink_to(repo / name)

    def run(command):
        return subprocess.run(
            [sys.executable, *shlex.split(command)[1:]],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(repo)},
            capture_output=True,
            encoding="utf-8",
        )

    return folder, run


def test_both_guides_show_the_same_commands(repo):
    english = commands(repo, "data_at_scale.md")
    assert english == commands(repo, "data_at_scale_CN.md")
    assert len(english) == 5


@pytest.fixture(scope="module")
def expected(run, repo):
    """The training file that the first command makes; the last one is run on it."""
    folder, run = run
    first, *_, last = commands(repo, "data_at_scale.md")
    for command in (first, last):
        result = run(command)
        assert result.returncode == 0, result.stderr
    assert "SHA-256 as in the manifest" in result.stdout
    return (folder / "data" / "mine" / "pretrain_data.bin").read_bytes()


@pytest.mark.parametrize("option", ["part", pytest.param("ray", marks=pytest.mark.slow)])
def test_commands_give_the_same_file(run, repo, expected, option):
    if option == "ray":
        pytest.importorskip("ray")
    folder, run = run
    shutil.rmtree(folder / "data")
    made = folder / "data" / "mine" / "pretrain_data.json"
    chosen = [command for command in commands(repo, "data_at_scale.md") if option in command]
    for command in chosen * ROUNDS:
        if not made.exists():
            result = run(command)
            assert result.returncode == 0, result.stderr
    assert made.with_suffix(".bin").read_bytes() == expected
