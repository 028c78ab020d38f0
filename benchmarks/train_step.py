"""Training speed against an equal PyTorch model: python -m benchmarks.train_step [--help].

Float32, or bfloat16 products by --dtype (PyTorch: autocast). Ours is a run of the product: document
mask, two micro-batches a step, clipping, a log line after every step. The peers accumulate and clip
too, without document mask, log or data. Each round runs every contender once in a process of its
own, in turn, so that a change of the machine's speed meets all of them; the ratio is the median
over rounds of the ratios within a round. With --results, rounds are kept in a file and added to
those that it holds, so that a few can be run at a time.

The product bound is the time of the matrix products of linear layers and output layer alone, by the
kernels of linear layers, at the end of our process: were attention and all else free, a step of
such products would take that.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

SHAPES = {
    "3.3M": ["--vocab", "8000", "--batch", "8", "--dim", "192", "--layers", "4", "--heads", "4"],
    "7.4M": ["--vocab", "5000", "--batch", "8"],
    "24.6M": ["--vocab", "64794", "--batch", "4"],
    "58.5M": ["--vocab", "64794", "--batch", "2", "--dim", "512", "--layers", "8",
              "--heads", "8", "--seq", "512"],
    "tiny": ["--vocab", "700", "--batch", "2", "--dim", "32", "--layers", "1", "--heads", "2",
             "--seq", "32"],
}  # fmt: skip
"""3.3M is the demo's shape; `tiny` is for the test of the benchmark."""
OURS = ["benchmarks.train_step_ours"]
PEERS = {
    "eager": ["benchmarks.train_step_torch"],
    "compiled": ["benchmarks.train_step_torch", "--compile"],
}


def main() -> None:
    """Run the rounds and print a table a shape."""
    args = parse_arguments()
    contenders = [OURS, *(PEERS[peer] for peer in args.peers)]
    for shape in args.shapes:
        options = [*SHAPES[shape], "--steps", str(args.steps), "--accumulate", str(args.accumulate)]
        options += ["--dtype", args.dtype]
        key = [shape, args.dtype, args.accumulate, args.peers]
        rounds = kept_rounds(args.results, key)
        for _ in range(args.rounds):
            rounds.append([run([*contender, *options]) for contender in contenders])
            keep_round(args.results, key, rounds[-1])
        if rounds:
            print_table(shape, rounds)


def parse_arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["7.4M", "24.6M", "58.5M"])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["eager", "compiled"])
    parser.add_argument("--rounds", type=int, default=5, help="0: only print what --results holds")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--accumulate", type=int, default=2, help="micro-batches a step")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--results", type=Path, help="file that rounds are added to")
    return parser.parse_args()


def kept_rounds(path: Path | None, key: list) -> list[list[dict]]:
    """The rounds of a shape and its options that a file of results holds."""
    if path is None or not path.exists():
        return []
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [line["round"] for line in lines if line["key"] == key]


def keep_round(path: Path | None, key: list, results: list[dict]) -> None:
    """Add a round to a file of results, if there is one."""
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "round": results}) + "\n")


def run(module: list[str]) -> dict:
    """Run one contender; returns what it printed last."""
    done = subprocess.run(
        [sys.executable, "-m", *module], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "GLOG_v": "3"},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def print_table(shape: str, rounds: list[list[dict]]) -> None:
    """One line a contender: median speed, peak memory, how much faster we are; and our limits."""
    tokens = rounds[0][0]["tokens"]
    print(f"\n{shape} parameters, {tokens:,} tokens a step, {len(rounds)} rounds")
    for contender in zip(*rounds):
        seconds = median(result["seconds"] for result in contender)
        ours = [results[0] for results in rounds]
        ratio = median(result["seconds"] / our["seconds"] for result, our in zip(contender, ours))
        peak = max(result["peak_gib"] for result in contender)
        print(
            f"  {contender[0]['name']:28s} {tokens / seconds:8,.0f} tokens/s  "
            f"{seconds * 1e3:7,.0f} ms  {peak:5.2f} GiB  ours is {ratio:.2f} times as fast",
            flush=True,
        )
    share = median(our["products"] / our["seconds"] for our in ours)
    mfu = median(our["mfu"] for our in ours)
    print(f"  ours: MFU {mfu:.0%}, {share:.0%} of the product bound", flush=True)


if __name__ == "__main__":
    main()
