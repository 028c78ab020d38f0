"""LoRA against training all weights: python -m benchmarks.lora [--help].

Both are runs of the product on the same made-up text, each in a process of its own, in turn; the
ratio of their speeds is the median over rounds of the ratios within a round. A checkpoint of an
adapter does not hold the base, which its run names.
"""

import argparse
from statistics import median

from benchmarks.train_step import OURS, SHAPES, run
from common.tables import format_table

MIB = 2**20


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="24.6M")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    options = [*OURS, *SHAPES[args.shape], "--steps", str(args.steps)]
    names = {"all weights": 0, f"LoRA, rank {args.rank}": args.rank}
    rounds = [
        [run([*options, "--rank", str(rank)]) for rank in names.values()]
        for _ in range(args.rounds)
    ]
    tokens = rounds[0][0]["tokens"]
    print(f"{args.shape} parameters, {tokens:,} tokens a step, {args.rounds} rounds")
    head = ["trained", "parameters", "moments", "checkpoint", "a step", "peak", "time"]
    rows = [
        row(name, [results[i] for results in rounds], [results[0] for results in rounds])
        for i, name in enumerate(names)
    ]
    print(format_table([head, *rows]))


def row(name: str, own: list[dict], full: list[dict]) -> list[str]:
    """Cells of one contender; `full` are the rounds of training all weights."""
    share = median(mine["seconds"] / other["seconds"] for mine, other in zip(own, full))
    return [
        name,
        f"{own[0]['trained']:,}",
        f"{own[0]['moment_bytes'] / MIB:,.1f} MiB",
        f"{own[0]['checkpoint_bytes'] / MIB:,.1f} MiB",
        f"{median(result['seconds'] for result in own) * 1e3:,.0f} ms",
        f"{max(result['peak_gib'] for result in own):.2f} GiB",
        f"{share:.2f}",
    ]


if __name__ == "__main__":
    main()
