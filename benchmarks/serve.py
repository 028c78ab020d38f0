"""Many clients at once against serve.py: python -m benchmarks.serve --run out/demo.

The server is a process of its own; the clients are coroutines of this one, each of which sends its
next request when its last one is answered. One client alone is what one-by-one means.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import aiohttp

REPO = Path(__file__).resolve().parent.parent
PROMPTS = (
    "春天来了",
    "却说曹操引军",
    "床前明月光，",
    "小明在学校",
    "人民日报",
    "一",
    "他说：",
    "山",
)


@dataclass(frozen=True)
class Answered:
    """A request that was answered."""

    prompt: str
    text: str
    status: int
    seconds: float
    tokens: int


@contextlib.contextmanager
def served(run: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of serve.py for a run, and its process; ended with the block."""
    command = [sys.executable, REPO / "serve.py", "--run", run, "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("serving "):
                yield line.split(" at ")[1].split("/v1")[0], process
                break
        else:
            raise SystemExit(f"serve.py ended with status {process.wait()}")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def complete(session: aiohttp.ClientSession, model: str, prompt: str, new: int) -> Answered:
    """One greedy completion."""
    body = {"model": model, "prompt": prompt, "max_tokens": new, "temperature": 0}
    begin = time.perf_counter()
    async with session.post("/v1/completions", json=body) as answer:
        found = await answer.json()
        seconds = time.perf_counter() - begin
        if answer.status != 200:
            return Answered(prompt, "", answer.status, seconds, 0)
    tokens = found["usage"]["completion_tokens"]
    return Answered(prompt, found["choices"][0]["text"], 200, seconds, tokens)


async def load(
    address: str, model: str, clients: int, seconds: float, prompts: Sequence[str], new: int
) -> tuple[list[Answered], float]:
    """All that some clients are answered in a time, and how long it took."""
    end = time.perf_counter() + seconds
    answered: list[Answered] = []

    async def one(number: int, session: aiohttp.ClientSession) -> None:
        while time.perf_counter() < end:
            prompt = prompts[number % len(prompts)]
            answered.append(await complete(session, model, prompt, new))
            number += 1

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(address, connector=connector) as session:
        begin = time.perf_counter()
        await asyncio.gather(*(one(number, session) for number in range(clients)))
        return answered, time.perf_counter() - begin


def describe(clients: int, answered: Sequence[Answered], seconds: float) -> str:
    """One line of figures."""
    latencies = sorted(a.seconds for a in answered)
    p95 = quantiles(latencies, n=20)[-1] if len(latencies) > 1 else latencies[0]
    speed = sum(a.tokens for a in answered) / seconds
    return (
        f"  {clients:3d} clients{len(answered):6,} answers{speed:9,.0f} tokens/s"
        f"   p50 {median(latencies) * 1e3:7,.0f} ms   p95 {p95 * 1e3:7,.0f} ms"
    )


def main() -> None:
    """Serve, and print a line for each number of clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, metavar="DIR")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--new", type=int, default=64, help="new tokens of an answer, at most")
    args = parser.parse_args()
    model = args.run.resolve().name
    with served(args.run) as (address, _):
        print(f"{model}, {args.new} new tokens, {args.seconds:.0f} s each")
        asyncio.run(load(address, model, 1, 1, PROMPTS, args.new))
        for clients in args.clients:
            found = asyncio.run(load(address, model, clients, args.seconds, PROMPTS, args.new))
            print(describe(clients, *found), flush=True)


if __name__ == "__main__":
    main()
