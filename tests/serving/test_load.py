"""Many clients at once: none is lost, and each gets what it would get alone."""

import asyncio
import signal

import aiohttp
import pytest

from benchmarks.serve import PROMPTS, complete, load, served

CLIENTS, NEW = 64, 48


async def alone(address: str, prompts) -> dict[str, str]:
    """What each prompt is answered when nobody else asks."""
    async with aiohttp.ClientSession(address) as session:
        return {p: (await complete(session, "debug", p, NEW)).text for p in prompts}


def check(address: str, clients: int, seconds: float, prompts=PROMPTS) -> int:
    expected = asyncio.run(alone(address, prompts))
    assert len(set(expected.values())) > 3
    answered, _ = asyncio.run(load(address, "debug", clients, seconds, prompts, NEW))
    assert [a for a in answered if a.status != 200] == []
    assert [a for a in answered if a.text != expected[a.prompt]] == []
    return len(answered)


def test_a_few_seconds_of_company(server):
    assert check(server.address, 24, 2) >= 24


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_minute_of_64_clients_and_a_kill(run):
    with served(run.path) as (address, process):
        prompts = [first + second for first in PROMPTS for second in ("", "，", *PROMPTS)]
        assert check(address, CLIENTS, 60, prompts) > 10 * CLIENTS
        port = address.rpartition(":")[2]
        process.send_signal(signal.SIGKILL)
        process.wait()
    with served(run.path, "--port", port) as (again, _):
        assert again == address
        assert check(again, 4, 1) >= 4
