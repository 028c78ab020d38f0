"""Peak memory of the whole data step, for a corpus and for one ten times as large."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from benchmarks.real_text import docstrings, people_daily
from tokenizer.train import train_sentencepiece

TIMES = 10
MODES = ("none", "exact")
VOCAB_SIZE = 8_000
POLL_SECONDS = 0.05


def run_memory(rounds: int) -> None:
    """Print the peaks, their ratio, and the tokens made; `rounds` of each size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A given vocabulary: the memory that training one takes would hide all else.
        train_sentencepiece(people_daily(), VOCAB_SIZE, folder / "tokenizer.model")
        for dedup in MODES:
            peaks = {}
            for times in (1, TIMES):
                corpus = write_corpus(folder / f"corpus-{times}.jsonl", times)
                results = [process(folder, corpus, dedup) for _ in range(rounds)]
                peaks[times] = max(peak for peak, _ in results)
                seconds = min(seconds for _, seconds in results)
                print(
                    f"  dedup {dedup:5s} {corpus.stat().st_size / 1e6:6,.0f} MB of text: "
                    f"peak {peaks[times] / 1e6:6,.0f} MB, {seconds:5.0f} s",
                    flush=True,
                )
            print(f"  dedup {dedup:5s} ratio of the peaks {peaks[TIMES] / peaks[1]:.2f}")


def write_corpus(path: Path, times: int) -> Path:
    """The docstrings, `times` times over; each round ends in its number, so none is a repeat."""
    if not path.exists():
        with open(path, "w", encoding="utf-8") as file:
            for turn in range(times):
                for text in docstrings():
                    record = {"text": f"{text}\n第{turn}遍"}
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def process(folder: Path, corpus: Path, dedup: str) -> tuple[int, float]:
    """Run data_process.py on one corpus; returns the peak in bytes and the seconds it took."""
    recipe = {
        "name": "memory",
        "tokenizer": {"kind": "sentencepiece", "path": str(folder / "tokenizer.model")},
        "data": {
            "sources": [{"reader": "jsonl", "path": str(corpus)}],
            "dedup": dedup,
            "workers": 2,
        },
    }
    with tempfile.TemporaryDirectory(dir=folder) as data_dir:
        recipe["data"]["dir"] = data_dir
        config = Path(data_dir) / "recipe.yaml"
        config.write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
        started = time.perf_counter()
        command = [sys.executable, "data_process.py", "--config", str(config)]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running:
            peak = peak_memory(psutil.Process(running.pid), running)
        if running.returncode:
            sys.exit(f"data_process.py failed: {' '.join(command)}")
        return peak, time.perf_counter() - started


def peak_memory(process: psutil.Process, running: subprocess.Popen) -> int:
    """The most bytes that a process and its children held in memory together, till it ended."""
    peak = 0
    while running.poll() is None:
        held = 0
        for member in [process, *children(process)]:
            try:
                held += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, held)
        time.sleep(POLL_SECONDS)
    return peak


def children(process: psutil.Process) -> list[psutil.Process]:
    """The processes that it started, and theirs; none if it has just ended."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
