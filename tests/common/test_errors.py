"""How an entry ends: one sentence and a status, whatever happens."""

import os
import signal
import subprocess
import sys

import pytest

PRELUDE = """
import os, signal, sys, time
from common.errors import UserError, run_main
"""


def run(repo, body: str, **keywords):
    script = PRELUDE + "def main():\n    " + body + "\nrun_main(main)"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=repo, capture_output=True, timeout=60, **keywords
    )


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("raise UserError('it is wrong')", 1, "error: it is wrong\n"),
        ("open('/proc/1/none/x')", 1, "error: cannot use /proc/1/none/x: No such file or dir"),
        ("open('中' * 90)", 1, "File name too long\n"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", 143, "ended by SIGTERM\n"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 130, "interrupted\n"),
        ("raise ImportError('a library') from KeyboardInterrupt()", 130, "interrupted\n"),
        ("raise UserError(os.fsdecode(b'\\xff'))", 1, "error: \\udcff\n"),
    ],
)
def test_an_entry_ends_with_a_sentence(repo, body, status, says):
    ended = run(repo, body)
    assert ended.returncode == status
    assert says in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


def test_an_output_that_cannot_show_a_character_shows_its_code(repo):
    ended = run(repo, "print('春a'); return 0", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stdout) == (0, b"\\u6625a\n")


def test_input_of_another_encoding_comes_through(repo):
    ended = run(repo, "print(ascii(input())); print(input()); return 0", input=b"\xff\nb\n")
    assert ended.stdout == b"'\\udcff'\nb\n"


def test_a_reader_that_goes_away_is_no_error(repo):
    script = PRELUDE + "def main():\n    while True: print('x' * 999)\nrun_main(main)"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 128 + signal.SIGPIPE


def test_a_forked_worker_ends_without_a_word(repo):
    body = (
        "import multiprocessing as m; p = m.get_context('fork').Process(target=time.sleep, "
        "args=(9,)); p.start(); time.sleep(0.3); p.terminate(); p.join(); print(p.exitcode); "
        "return 0"
    )
    ended = run(repo, body)
    assert (ended.stdout, ended.stderr) == (b"-15\n", b"")
