"""Log lines outlive a full disk."""

import subprocess
import sys

import pytest

SCRIPT = """
import logging, resource, sys
from pathlib import Path
from common.logs import set_up_logging

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

set_up_logging(Path(sys.argv[1]))
logging.info("before")
limit(0)
logging.info("during")
logging.info("still")
limit(resource.RLIM_INFINITY)
logging.info("after")
"""


def log_to(script: str, *args: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", script, *map(str, args)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **options)


def test_a_file_that_cannot_grow(repo, tmp_path):
    done = log_to(SCRIPT, tmp_path / "log", cwd=repo, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stdout.split() == ["before", "during", "still", "after"]
    lines = (tmp_path / "log").read_text().split()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert done.stderr == "log: File too large; lines may be missing\n", "said once"


def test_a_full_standard_output(repo, tmp_path):
    with open("/dev/full", "w") as full:
        done = log_to(SCRIPT, tmp_path / "log", cwd=repo, stdout=full)
    assert "log: No space left on device; lines may be missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert "after" in (tmp_path / "log").read_text()


def test_a_bug_in_a_line_is_shown(repo, tmp_path):
    script = SCRIPT.replace('logging.info("still")', 'logging.info("%d", "x")')
    done = log_to(script, tmp_path / "log", cwd=repo, stdout=subprocess.PIPE)
    assert done.returncode == 0 and "TypeError: %d format" in done.stderr
    assert "after" in done.stdout


@pytest.mark.parametrize("size", [0, 3])
def test_a_line_is_appended_whole_or_not_at_all(repo, tmp_path, size):
    script = """
import resource, sys
from common.files import append_whole
append_whole(sys.argv[1], "one\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (4 + int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    append_whole(sys.argv[1], "two, longer\\n")
except OSError as error:
    print(error.strerror, file=sys.stderr)
"""
    done = log_to(script, tmp_path / "file", size, cwd=repo)
    assert (tmp_path / "file").read_text() == "one\n"
    assert done.stderr in ("File too large\n", "No space left on device\n")
