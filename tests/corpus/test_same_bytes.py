"""However the work is done, interrupted or shared out, the token files are the same."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.pipeline import build
from corpus.workspace import Unfinished
from tokenizer.config import TokenizerConfig

CONFIG = TokenizerConfig(vocab_size=350)
SMALL = {"corpus.pipeline.SHARD_BYTES": 10_000, "corpus.packing.BUCKET_BYTES": 10_000}
SCRIPT = """
import json, sys
import corpus.executors, corpus.packing, corpus.pipeline
from corpus.config import DataConfig, SourceConfig
from tokenizer.config import TokenizerConfig
corpus.pipeline.SHARD_BYTES = corpus.packing.BUCKET_BYTES = 10_000
corpus.executors.POOL_BYTES = 0
values = json.loads(sys.argv[1])
sources = [SourceConfig(**source) for source in values.pop("sources")]
corpus.pipeline.build(TokenizerConfig(vocab_size=350), DataConfig(sources=sources, **values))
"""


@pytest.fixture
def data(tmp_path, random_texts, write_jsonl):
    """Three files in two sources of different weight, with repeated documents and a rule."""
    texts = random_texts(400)
    write_jsonl(tmp_path / "a1.jsonl", texts[:100])
    write_jsonl(tmp_path / "a2.jsonl", texts[100:250] + texts[:30])
    write_jsonl(tmp_path / "b.jsonl", texts[240:])
    sources = [
        SourceConfig("jsonl", str(tmp_path / "a*.jsonl")),
        SourceConfig("jsonl", str(tmp_path / "b.jsonl"), weight=1.5),
    ]
    return DataConfig(
        str(tmp_path / "data"),
        sources,
        cleaning=[{"rule": "length", "min": 5}],
        val_fraction=0.1,
        workers=1,
    )


@pytest.fixture
def small_shards(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(name, value)
    monkeypatch.setattr("corpus.executors.POOL_BYTES", 0)


def outcome(data):
    """Contents of the token files, manifests and vocabulary; nothing else may be left."""
    folder = Path(data.dir)
    assert {path.name for path in folder.iterdir()} == {
        "pretrain_data.bin",
        "pretrain_data.json",
        "val_data.bin",
        "val_data.json",
        "tokenizer.model",
        "duplicates.jsonl",
        "cleaning_report.json",
        "cleaning_report.md",
    }
    names = ("pretrain_data.bin", "val_data.bin", "tokenizer.model", "pretrain_data.json")
    contents = {name: (folder / name).read_bytes() for name in names}
    for path in folder.iterdir():
        path.unlink()
    return contents


@pytest.fixture
def expected(data):
    """The outcome of one process with everything in one shard."""
    build(CONFIG, data)
    return outcome(data)


@pytest.mark.parametrize("executor", ["process", "ray"])
def test_two_workers(data, expected, small_shards, executor):
    if executor == "ray":
        pytest.importorskip("ray")
    build(CONFIG, dataclasses.replace(data, workers=2, executor=executor))
    assert outcome(data) == expected


def test_parts_one_after_another(data, expected, small_shards):
    # Each round of all parts finishes one stage of the seven, or more.
    reports = []
    for part in [0, 1, 2] * 7:
        try:
            reports.append(build(CONFIG, dataclasses.replace(data, part=f"{part}/3")))
        except Unfinished as rest:
            assert "left to other parts" in str(rest) or "part 0 puts" in str(rest)
    assert not reports[0].up_to_date and reports[1].up_to_date
    assert outcome(data) == expected


def start(data):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(dataclasses.asdict(data))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at(data, n_done):
    """Run until `n_done` tasks are finished in all, then SIGKILL; whether it came to that."""
    work = Path(data.dir) / "work"
    process = start(data)
    while process.poll() is None:
        done = [name for *_, names in os.walk(work) for name in names if name.endswith(".json")]
        if len(done) >= n_done:
            process.kill()
        time.sleep(0.002)
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments(data, expected, kills):
    moments = sorted(random.Random(kills).sample(range(25), kills))
    data = dataclasses.replace(data, workers=2)
    killed = [kill_at(data, moment) for moment in moments]
    assert any(killed)
    process = start(data)
    assert process.communicate()[1] == "" and process.returncode == 0
    assert outcome(data) == expected


def test_finished_tasks_are_not_done_again(data, small_shards, monkeypatch):
    def full(*arguments):
        raise UserError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("corpus.pipeline.tokenise_texts", full)
        with pytest.raises(UserError, match="disk is full"):
            build(CONFIG, data)
    for name in ("read_files", "clean_shard", "remove_duplicates", "train_vocabulary"):
        monkeypatch.setattr(f"corpus.pipeline.{name}", full)
    assert not build(CONFIG, data).up_to_date
    outcome(data)


def test_work_on_another_recipe_is_deleted(data, small_shards, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("corpus.pipeline.pack", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(CONFIG, data)
    work = Path(data.dir) / "work"
    (first,) = (path for path in work.iterdir() if path.is_dir())
    with monkeypatch.context() as patch:
        patch.setattr("corpus.pipeline.pack", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(CONFIG, dataclasses.replace(data, seed=7))
    (second,) = (path for path in work.iterdir() if path.is_dir())
    assert first != second


def test_seed_changes_the_order_only(data, expected):
    build(CONFIG, dataclasses.replace(data, seed=7))
    other = outcome(data)
    assert other["pretrain_data.bin"] != expected["pretrain_data.bin"]
    assert other["tokenizer.model"] == expected["tokenizer.model"]
