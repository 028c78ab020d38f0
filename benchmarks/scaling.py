"""Data parallel on two cores against one: python -m benchmarks.scaling [--help].

Weak scaling: each worker is bound to one core and has the same micro-batches, so two workers take
twice the tokens a step. Each round runs in turn: one worker; two that know nothing of each other,
which shows what the machine itself loses with both cores busy; two under msrun that sum their
gradients; and, for comparison, one process whose threads have both cores, with twice the
micro-batches. Speeds are medians over the rounds, ratios medians of the ratios within a round.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.shapes import DEFAULTS
from benchmarks.train_step import SHAPES

WORKER = Path(__file__).resolve().parent / "scaling_worker.py"
ONE, APART, TOGETHER = "one worker", "two apart", "two together"
THREADS = "one, both cores"


def main() -> None:
    """Run the rounds and print four lines a shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["7.4M"])
    parser.add_argument("--micro_batches", nargs="+", type=int, default=[1, 4], help="a step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--kernels", choices=["auto", "native", "plain"], default="auto")
    parser.add_argument("--shard_optimizer", action="store_true")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("two cores are needed")
    for shape in args.shapes:
        for micro_batches in args.micro_batches:
            sizes = worker_sizes(shape) | {"steps": args.steps, "micro_batches": micro_batches}
            options = ["--kernels", args.kernels]
            options += ["--shard_optimizer"] * args.shard_optimizer
            rounds = [run_round(sizes, options, cores) for _ in range(args.rounds)]
            print_table(shape, sizes, rounds)


def worker_sizes(shape: str) -> dict[str, int]:
    """The sizes of a named shape, by option."""
    parts = SHAPES[shape]
    given = {name.removeprefix("--"): int(size) for name, size in zip(parts[::2], parts[1::2])}
    return DEFAULTS | given


def run_round(sizes: dict[str, int], options: list[str], cores: list[int]) -> dict[str, float]:
    """Seconds of a step of each contender, that of the slower worker where two are apart."""
    options = options + [str(part) for name, size in sizes.items() for part in (f"--{name}", size)]
    twice = ["--micro_batches", str(2 * sizes["micro_batches"])]
    alone = [sys.executable]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / f"{core}.json" for core in cores]
        one = finish(spawn(alone, options, cores[:1], outputs[0]))
        pairs = zip(cores, outputs)
        apart = [spawn(alone, options, [core], output) for core, output in pairs]
        two = max(finish(worker) for worker in apart)
        together = finish(spawn(msrun(folder), options, cores, outputs[0]))
        threads = finish(spawn(alone, options + twice, cores, outputs[0]))
    return {ONE: one, APART: two, TOGETHER: together, THREADS: threads}


def msrun(folder: str) -> list[str]:
    """What starts two workers that know each other."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    launcher = str(Path(sys.executable).parent / "msrun")
    options = ["--worker_num=2", "--local_worker_num=2", "--join=True"]
    return [launcher, *options, f"--master_port={port}", f"--log_dir={folder}/log"]


def spawn(launcher: list[str], options: list[str], cores: list[int], output: Path) -> tuple:
    """Start a worker, or under msrun one on each core; what `finish` needs."""
    options = [*options, "--cores", *map(str, cores), "--output", str(output)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "GLOG_v": "3", "PATH": path}
    env["PYTHONPATH"] = str(WORKER.parent.parent)
    command = [*launcher, str(WORKER), *options]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL), output


def finish(started: tuple) -> float:
    """Wait for a worker: its median seconds a step."""
    process, output = started
    if process.wait():
        raise SystemExit(f"{process.args} ended with status {process.returncode}")
    return median(json.loads(output.read_text(encoding="utf-8")))


def print_table(shape: str, sizes: dict[str, int], rounds: list[dict[str, float]]) -> None:
    """Tokens a second of each, and the share of as many times one worker's that they reach."""
    tokens = sizes["micro_batches"] * sizes["batch"] * sizes["seq"]
    print(f"\n{shape}, {tokens:,} tokens a step and worker, {len(rounds)} rounds")
    for name in (ONE, APART, TOGETHER, THREADS):
        workers = 1 if name == ONE else 2
        speed = workers * tokens / median(seconds[name] for seconds in rounds)
        share = median(seconds[ONE] / seconds[name] for seconds in rounds)
        print(f"  {name:16s}{speed:9,.0f} tokens/s   efficiency {share:4.0%}", flush=True)


if __name__ == "__main__":
    main()
