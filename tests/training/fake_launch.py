"""A launch command for test_supervise.py: each start does the next thing of the file `script`.

Called as `fake_launch.py pretrain.py --option value ...`, as msrun would be. With "ranks" it is
like msrun: it starts two ranks in sessions of their own, says that one was killed, and hangs on.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from common.errors import UserError, run_main

LATEST = Path("out/debug/latest")
RANK = """
import pathlib, signal, sys, time
def stop(number, frame):
    pathlib.Path("saved").touch()
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(f"rank{sys.argv[1]}").touch()
time.sleep(600)
"""


def main() -> int:
    script = Path("script")
    now, _, later = script.read_text().partition(" ")
    script.write_text(later)
    if now == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if now == "error":
        raise UserError("the disk is full; free it")
    if now == "ranks":
        ranks()
    if now == "save":
        LATEST.parent.mkdir(parents=True, exist_ok=True)
        LATEST.write_text(f"step_{len(later):08d}\n")
    return int(now) if now.isdigit() else 3


def ranks() -> None:
    started = []
    for rank in ("0", "1"):
        environment = {**os.environ, "MS_ROLE": "MS_WORKER", "RANK_ID": rank}
        command = [sys.executable, "-c", RANK, rank]
        started.append(subprocess.Popen(command, env=environment, start_new_session=True))
    while not (Path("rank0").exists() and Path("rank1").exists()):
        time.sleep(0.05)
    print("both run", flush=True)
    while started[1].poll() is None:
        time.sleep(0.05)
    print(
        f"[ERROR] Worker process {started[1].pid} exit with exception. "
        f"Error code: {started[1].returncode}.",
        file=sys.stderr,
        flush=True,
    )
    time.sleep(600)  # as msrun waits for its scheduler


if __name__ == "__main__":
    run_main(main)
