"""However the work is done, interrupted or shared out, the token files are the same."""

import dataclasses
import json
import os
import pkgutil
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import UserError
from corpus.config import DataConfig, SourceConfig
from corpus.pipeline import build
from corpus.stages import read_files
from corpus.workspace import Unfinished
from tokenizer.config import TokenizerConfig

KEPT = ("characters", "exact", "vocabulary")
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
    """Contents of the token files, manifests and vocabulary, which are deleted; the work stays."""
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
        "work",
    }
    names = ("pretrain_data.bin", "val_data.bin", "tokenizer.model", "pretrain_data.json")
    contents = {name: (folder / name).read_bytes() for name in names}
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    return contents


@pytest.fixture
def expected(data):
    """The outcome of one process with everything in one shard."""
    build(CONFIG, data)
    made = outcome(data)
    shutil.rmtree(Path(data.dir) / "work")
    return made


@pytest.mark.parametrize("executor", ["process", pytest.param("ray", marks=pytest.mark.slow)])
def test_two_workers(data, expected, small_shards, executor):
    if executor == "ray":
        pytest.importorskip("ray")
    build(CONFIG, dataclasses.replace(data, workers=2, executor=executor))
    assert outcome(data) == expected


@pytest.mark.parametrize("shared", [False, True])
def test_near_duplicates_by_one_worker_two_or_parts(
    data, random_texts, write_jsonl, small_shards, monkeypatch, shared
):
    texts = random_texts(150, length=90)
    write_jsonl(Path(data.sources[1].path), [text[:80] + text[:5] for text in texts] + texts)
    data = dataclasses.replace(data, dedup="near")
    monkeypatch.setattr("corpus.dedup.near.SPAN_DOCUMENTS", 100)
    build(CONFIG, data)
    removed = (Path(data.dir) / "duplicates.jsonl").read_text()
    expected = outcome(data)
    shutil.rmtree(Path(data.dir) / "work")
    if shared:
        for part in [0, 1] * 9:
            try:
                build(CONFIG, dataclasses.replace(data, part=f"{part}/2"))
            except Unfinished:
                continue
            break
    else:
        build(CONFIG, dataclasses.replace(data, workers=2))
    assert removed.count("\n") > 150
    assert (Path(data.dir) / "duplicates.jsonl").read_text() == removed
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
    for name in list(STAGES.values())[:-1]:
        monkeypatch.setattr(name, full)
    assert not build(CONFIG, data).up_to_date
    outcome(data)


STAGES = {
    "read": "corpus.pipeline.read_files",
    "clean": "corpus.pipeline.clean_shard",
    "dedup": "corpus.dedup_stage.remove_duplicates",
    "vocabulary": "corpus.pipeline.train_vocabulary",
    "tokens": "corpus.pipeline.tokenise_texts",
}
CHANGES = {
    "vocab_size": ({}, ["vocabulary", "tokens"]),
    "weight": ({"sources": 2.5}, ["tokens"]),
    "val_fraction": ({"val_fraction": 0.2}, ["vocabulary", "tokens"]),
    "seed": ({"seed": 7}, ["vocabulary", "tokens"]),
    "dedup_threshold": ({"dedup_threshold": 0.7}, ["dedup", "vocabulary", "tokens"]),
    "cleaning": ({"cleaning": [{"rule": "length", "min": 6}]}, list(STAGES)),
}


@pytest.mark.parametrize(
    ("change", "finished"), [("vocab_size", False), *((change, True) for change in CHANGES)]
)
def test_a_stage_is_kept_while_what_it_depends_on_is_unchanged(
    data, small_shards, monkeypatch, change, finished
):
    with monkeypatch.context() as patch:
        if not finished:
            patch.setattr("corpus.pipeline.pack", lambda *args: 1 / 0)
        try:
            build(CONFIG, data)
        except ZeroDivisionError:
            assert not finished
    fields, expected = CHANGES[change]
    config = TokenizerConfig(vocab_size=360) if change == "vocab_size" else CONFIG
    if "sources" in fields:
        sources = [dataclasses.replace(source, weight=2.5) for source in data.sources]
        fields = {"sources": sources}
    for path in Path(data.dir).glob("*_data.json"):
        path.unlink()
    done = []
    for stage, name in STAGES.items():
        perform = pkgutil.resolve_name(":".join(name.rsplit(".", 1)))

        def note(*arguments, stage=stage, perform=perform):
            done.append(stage)
            return perform(*arguments)

        monkeypatch.setattr(name, note)
    changed = dataclasses.replace(data, **fields)
    build(config, changed)
    assert sorted(set(done), key=list(STAGES).index) == expected
    if change == "vocab_size":
        names = ("pretrain_data.bin", "val_data.bin", "tokenizer.model")
        kept = [Path(data.dir, name).read_bytes() for name in names]
        shutil.rmtree(data.dir)
        build(config, changed)
        assert kept == [Path(data.dir, name).read_bytes() for name in names]


def test_a_new_source_keeps_the_others_read_and_cleaned(data, tmp_path, monkeypatch):
    build(CONFIG, dataclasses.replace(data, sources=data.sources[:1]))
    read = []
    monkeypatch.setattr(
        "corpus.pipeline.read_files",
        lambda *arguments: read.append(arguments[0].path) or read_files(*arguments),
    )
    build(CONFIG, data)
    assert read == [str(tmp_path / "b.jsonl")]


def test_a_vocabulary_too_small_is_known_before_deduplication(
    data, tmp_path, write_jsonl, random_texts, monkeypatch
):
    rare = ["".join(map(chr, range(0x4E00 + 10 * i, 0x4E0A + 10 * i))) for i in range(200)]
    write_jsonl(tmp_path / "b.jsonl", [*random_texts(50), *rare])
    with monkeypatch.context() as patch:
        patch.setattr("corpus.dedup_stage.remove_duplicates", lambda *args: 1 / 0)
        with pytest.raises(
            UserError, match="raise tokenizer.vocab_size to [0-9]+ at least"
        ) as raised:
            build(CONFIG, data)
    least = int(re.search(r"to (\d+) at least", str(raised.value))[1])
    with pytest.raises(UserError, match="raise tokenizer.vocab_size to [0-9]+ at least") as raised:
        build(TokenizerConfig(vocab_size=least - 5), data)
    exact = int(re.search(r"to (\d+) at least", str(raised.value))[1])
    assert abs(exact - least) < 0.02 * least
    for name in (*list(STAGES.values())[:3], "corpus.pipeline.count_pieces"):
        monkeypatch.setattr(name, lambda *args: 1 / 0)
    with pytest.raises(UserError, match=f"to {exact} at least"):
        build(TokenizerConfig(vocab_size=exact - 1), data)
    build(TokenizerConfig(vocab_size=exact), data)


def test_another_version_of_the_program_begins_anew(data, monkeypatch):
    build(CONFIG, data)
    work = Path(data.dir) / "work"
    before = {path.name for path in work.iterdir() if path.is_dir()}
    assert {name.split("-")[0] for name in before} == {"read", "clean", "dedup", *KEPT}
    monkeypatch.setattr("corpus.sources._code_hash", lambda: "another")
    build(CONFIG, dataclasses.replace(data, seed=7))
    after = {path.name for path in work.iterdir() if path.is_dir()}
    assert not before & after and len(before) == len(after)


def test_seed_changes_the_order_only(data, expected):
    build(CONFIG, dataclasses.replace(data, seed=7))
    other = outcome(data)
    assert other["pretrain_data.bin"] != expected["pretrain_data.bin"]
    assert other["tokenizer.model"] == expected["tokenizer.model"]
