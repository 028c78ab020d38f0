"""What `make demo` says: what comes, how far it is, what each part took."""

import os
import re
import signal
import subprocess

SAVES = (
    "sh -c 'trap \"sleep 1; echo saved; exit 130\" INT; echo ready; while :; do sleep 0.2; done'"
)


def run_parts(repo, *words: str) -> subprocess.CompletedProcess:
    command = ["sh", repo / "parts.sh", "make it", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30)


def test_what_comes_is_said_first_and_what_it_took_last(repo):
    done = run_parts(repo, "data: a minute", "sleep 1", "training: two", "echo 'trained'")
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("make it has 2 parts")
    assert lines[1:3] == ["  1. data: a minute", "  2. training: two"]
    assert lines[4:6] == ["== part 1 of 2, data: a minute", "   sleep 1"]
    assert lines[7:10] == ["== part 2 of 2, training: two", "   echo 'trained'", "trained"]
    assert re.fullmatch(r"make it took 0:0[12]: data 0:0[12], training 0:00", lines[-1])


def test_a_part_that_fails_is_the_last(repo):
    done = run_parts(repo, "data: a minute", "sh -c 'exit 3'", "training: two", "echo trained")
    assert done.returncode == 3 and "trained" not in done.stdout
    said = r"make it: part 1 of 2, data, ended with status 3 after 0:0\d; run"
    assert re.match(said, done.stderr)


def test_ctrl_c_waits_for_the_part_to_save(repo):
    command = [
        "sh",
        repo / "parts.sh",
        "make it",
        "training: long",
        SAVES,
        "evaluation: short",
        "true",
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # nohup may ignore it
    ) as process:
        for line in process.stdout:
            if line == "ready\n":
                os.killpg(process.pid, signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(30) == 130
    assert rest.startswith("saved\n") and "part 1 of 2, training, ended with status 130" in rest


def test_the_targets_name_their_parts(repo):
    for target, parts in (("demo", 4), ("chat", 5)):
        done = subprocess.run(
            ["make", "-n", target], cwd=repo, capture_output=True, text=True, timeout=30
        )
        assert done.stdout.count("parts.sh") == 1, done.stderr
        titles = re.findall(r'"([^":]+): [^"]+"', done.stdout)
        assert len(titles) == parts and titles[-1] in ("evaluation", "a chat")
