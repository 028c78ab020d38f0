"""Training speed against an equal PyTorch model: python -m benchmarks.train_step [--help].

Float32. Ours is a run of the product: document mask, two micro-batches a step, clipping, a log
line after every step. The peers accumulate and clip too, without document mask, log or data.
Each round runs every contender once in a process of its own, in turn, so that a change of the
machine's speed meets all of them; the ratio is the median over rounds of the ratios within a round.
"""

import argparse
import json
import os
import subprocess
import sys
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["7.4M", "24.6M", "58.5M"])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["eager", "compiled"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--accumulate", type=int, default=2, help="micro-batches a step")
    args = parser.parse_args()
    for shape in args.shapes:
        options = [*SHAPES[shape], "--steps", str(args.steps), "--accumulate", str(args.accumulate)]
        contenders = [OURS, *(PEERS[peer] for peer in args.peers)]
        rounds = [
            [run([*contender, *options]) for contender in contenders] for _ in range(args.rounds)
        ]
        print_table(shape, rounds)


def run(module: list[str]) -> dict:
    """Run one contender; returns what it printed last."""
    done = subprocess.run(
        [sys.executable, "-m", *module], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "GLOG_v": "3"},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def print_table(shape: str, rounds: list[list[dict]]) -> None:
    """One line a contender: median speed, peak memory, how much faster we are, and our MFU."""
    tokens = rounds[0][0]["tokens"]
    print(f"\n{shape} parameters, {tokens:,} tokens a step, {len(rounds)} rounds")
    for contender in zip(*rounds):
        seconds = median(result["seconds"] for result in contender)
        ours = [results[0] for results in rounds]
        ratio = median(result["seconds"] / our["seconds"] for result, our in zip(contender, ours))
        peak = max(result["peak_gib"] for result in contender)
        mfu = f"MFU {median(r['mfu'] for r in contender):.0%}" if "mfu" in contender[0] else ""
        print(
            f"  {contender[0]['name']:28s} {tokens / seconds:8,.0f} tokens/s  "
            f"{seconds * 1e3:7,.0f} ms  {peak:5.2f} GiB  ours is {ratio:.2f} times as fast  {mfu}",
            flush=True,
        )


if __name__ == "__main__":
    main()
