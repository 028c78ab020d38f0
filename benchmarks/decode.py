"""Our decoding against llama.cpp and Hugging Face's generate: python -m benchmarks.decode [--help].

Greedy, with a cache, the same random weights, no end of text. One process each loads what it needs
and waits; in each round every contender continues the prompts once, in turn, so that a change of
the machine's speed meets all of them. Prefill counts. The limit is how often a process that does
nothing else can read as many bytes as the weights have; a batch reads them once for all its rows.

With --llama_cpp, also the library of llama.cpp: the folder of a build of one's own, or of the npm
package @node-llama-cpp/linux-x64. With --llama2c, also the C program of llama2.c at batch 1, by the
speed that it reports.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.decode_shapes import PROMPT, SHAPES

OURS, OURS_INT8 = "ours, float32", "ours, int8"
EXACT = (OURS, "Hugging Face", "llama.cpp, float32")
"""Those whose ids should be the same."""


def commands(llama_cpp: Path | None) -> dict[str, tuple[str, ...]]:
    """The module of each contender, and what it is given beside folder and shape."""
    found = {
        OURS: ("benchmarks.decode_ours", "--weights", "float32"),
        OURS_INT8: ("benchmarks.decode_ours", "--weights", "int8"),
        "Hugging Face": ("benchmarks.decode_torch",),
        "limit, float32": ("benchmarks.decode_limit", "float32"),
        "limit, int8": ("benchmarks.decode_limit", "int8"),
    }
    if llama_cpp:
        for name, kind in (("float32", "float32"), ("Q8_0", "q8_0")):
            found[f"llama.cpp, {name}"] = ("benchmarks.decode_llama_cpp", str(llama_cpp), kind)
    return found


class Contender:
    """A process that answers each line "<batch> <new tokens>" with the seconds it took."""

    def __init__(self, module: str, folder: str, shape: str, *options: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, folder, shape, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def run(self, batch: int, new: int) -> tuple[float, str]:
        """Seconds for `new` ids a row, and the ids of the first row."""
        self.process.stdin.write(f"{batch} {new}\n")
        self.process.stdin.flush()
        while line := self.process.stdout.readline():
            if line.startswith("took "):
                _, seconds, ids = line.split(" ", 2)
                return float(seconds), ids.strip()
        raise SystemExit(f"{self.process.args} ended with status {self.process.wait()}")

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Run the rounds and print a line a contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["24.6M", "15.1M"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--new", type=int, default=128, help="new ids a row")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--llama_cpp", type=Path, metavar="DIR", help="where libllama lies")
    parser.add_argument("--llama2c", type=Path, metavar="DIR", help="where its `run` was built")
    args = parser.parse_args()
    for shape in args.shapes:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.decode_ours", folder, shape, "--save"],
                check=True,
            )
            contenders = {
                name: Contender(module, folder, shape, *options)
                for name, (module, *options) in commands(args.llama_cpp).items()
            }
            for batch in args.batches:
                compare(contenders, shape, batch, args)
            for contender in contenders.values():
                contender.close()
            if args.llama2c:
                speeds = [llama2c(args.llama2c, folder, args.new) for _ in range(args.rounds)]
                print(f"  llama2.c, batch 1: {median(speeds):,.1f} tokens/s")


def compare(contenders: dict[str, Contender], shape: str, batch: int, args) -> None:
    """Warm up, run the rounds, print medians and the ratios within rounds."""
    first = {name: c.run(batch, args.new)[1] for name, c in contenders.items()}
    exact = {first[name] for name in EXACT if name in first}
    same = "the same ids" if len(exact) == 1 else "DIFFERENT ids"
    rounds = [
        {name: c.run(batch, args.new)[0] for name, c in contenders.items()}
        for _ in range(args.rounds)
    ]
    print(
        f"\n{shape}, batch {batch}, {PROMPT} + {args.new} ids a row, {len(rounds)} rounds, {same}"
    )
    for name in contenders:
        speed = batch * args.new / median(times[name] for times in rounds)
        said = f"  {name:18s}{speed:9,.1f} tokens/s"
        for ours in (OURS, OURS_INT8):
            ratio = median(times[name] / times[ours] for times in rounds)
            said += f"   {ours} is {ratio:.2f} times as fast"
        print(said, flush=True)


def llama2c(folder: Path, work: str, new: int) -> float:
    """Tokens/s of llama2.c's run on the same weights; it prints them on stderr."""
    options = ["-t", "0", "-n", str(new), "-z", f"{work}/tokenizer.bin"]
    done = subprocess.run(
        [str(folder / "run"), f"{work}/model.bin", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True,
    )  # fmt: skip
    return float(done.stderr.decode("utf-8", "replace").split("achieved tok/s: ")[1].split()[0])


if __name__ == "__main__":
    main()
