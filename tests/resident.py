"""Memory of the test process."""

from pathlib import Path


def resident_bytes() -> int:
    """What of this process is in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
