"""The data step on real text: python -m benchmarks.data [tokenize] [dedup] [memory] [--help].

Real documents are fetched once into data/raw/; the first time takes minutes.
"""

import argparse

from benchmarks.data_dedup import run_dedup
from benchmarks.data_memory import run_memory
from benchmarks.data_tokenize import run_tokenize

BENCHMARKS = {"tokenize": run_tokenize, "dedup": run_dedup, "memory": run_memory}


def main() -> None:
    """Run the benchmarks that are named, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if unknown := set(args.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    for name in args.names or BENCHMARKS:
        print(f"\n{name}")
        BENCHMARKS[name](args.rounds)


if __name__ == "__main__":
    main()
