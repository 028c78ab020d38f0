"""Our training step against an equal PyTorch model: python -m benchmarks.train_step [--help].

Float32, random tokens. Each round runs every contender once in a process of its own, in turn, so
that a change of the machine's speed meets all of them; the ratio is the median over rounds of the
ratios within a round.
"""

import argparse
import json
import os
import subprocess
import sys
from statistics import median

SHAPES = {
    "7.4M": ["--vocab", "5000", "--batch", "8"],
    "24.6M": ["--vocab", "64794", "--batch", "4"],
    "58.5M": ["--vocab", "64794", "--batch", "2", "--dim", "512", "--layers", "8",
              "--heads", "8", "--seq", "512"],
}  # fmt: skip
TOKENS = {"7.4M": 8 * 256, "24.6M": 4 * 256, "58.5M": 2 * 512}
OURS = ["benchmarks.train_step_ours"]
PEERS = {
    "eager": ["benchmarks.train_step_torch"],
    "compiled": ["benchmarks.train_step_torch", "--compile"],
}


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["7.4M", "24.6M"])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["eager"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    for shape in args.shapes:
        options = [*SHAPES[shape], "--steps", str(args.steps)]
        rounds = []
        for _ in range(args.rounds):
            commands = [OURS, *(PEERS[peer] for peer in args.peers)]
            rounds.append([run([*command, *options]) for command in commands])
        print_table(shape, rounds)


def run(module: list[str]) -> dict:
    """Run one contender; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *module], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "GLOG_v": "3"},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def print_table(shape: str, rounds: list[list[dict]]) -> None:
    """One line a contender: median speed, peak memory, and how much faster we are."""
    print(f"\n{shape} parameters, {TOKENS[shape]:,} tokens a step, {len(rounds)} rounds")
    for contender in zip(*rounds):
        seconds = median(result["seconds"] for result in contender)
        ours = [results[0] for results in rounds]
        ratio = median(result["seconds"] / our["seconds"] for result, our in zip(contender, ours))
        peak = max(result["peak_gib"] for result in contender)
        print(
            f"  {contender[0]['name']:28s} {TOKENS[shape] / seconds:8,.0f} tokens/s  "
            f"{seconds * 1e3:7.0f} ms  {peak:5.2f} GiB  ours is {ratio:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
