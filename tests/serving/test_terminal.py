"""The dialogue on a terminal: commands, mistakes and Ctrl-C."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from serving.terminal import SETTINGS, Chat, converse

TYPED = """\
/set temperature 0
小明
小明
/more
/seed 7
/set stop [完, 了]
/set top_k 2.5
/set nothing 1
/set top_p 7
/frobnicate
学{long}
/reset
/show
/quit
不该出现
"""


@pytest.fixture
def talk(writer, monkeypatch, capsys):
    """What the dialogue prints when lines are typed; the shared writer's settings come back."""
    before = writer.config

    def say(text: str) -> str:
        lines = iter(text.splitlines())

        def answer(prompt):
            line = next(lines, None)
            if line is None:
                raise EOFError
            if line == "^C":
                raise KeyboardInterrupt
            return line

        monkeypatch.setattr("builtins.input", answer)
        converse(writer)
        return capsys.readouterr().out

    yield say
    writer.config = before


def test_a_dialogue(talk, writer):
    before = writer.config
    printed = talk(TYPED.format(long="学" * 100))
    assert "  temperature = 0.0\n" in printed
    first, second = (part.split("\n(")[0] for part in printed.split("小明 ->\n")[1:3])
    assert first == second
    assert f"\n小明{first} ->\n" in printed, "/more"
    assert "  seed = 7\n" in printed and "  stop = ['完', '了']\n" in printed
    assert "error: top_k is '2.5'; it must be a whole number\n" in printed
    assert "error: setting 'nothing' is unknown; /show lists them\n" in printed
    assert "error: eval.top_p is 7.0; it must lie in (0, 1]\n" in printed
    assert "error: /frobnicate is unknown; /help lists the commands\n" in printed
    assert "error: the prompt has " in printed
    assert writer.config == before
    assert all(f"\n  {name}" in printed for name in SETTINGS)
    assert "不该出现" not in printed


def test_the_end_of_the_input_ends_it_and_ctrl_c_at_the_prompt_does_not(talk):
    printed = talk("^C\n/help")
    assert "(Ctrl-D or /quit ends)" in printed
    assert "/set NAME VALUE" in printed
    assert printed.endswith("\n\n")


def test_an_empty_line_lets_the_model_begin(talk):
    assert "\n ->\n" in talk("\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_the_continuation_only(writer, monkeypatch, capsys, number):
    write = writer.write

    def interrupted(prompt, show, stopped):
        def show_and_interrupt(text):
            show(text)
            os.kill(os.getpid(), number)

        return write(prompt, show_and_interrupt, stopped)

    monkeypatch.setattr(writer, "write", interrupted)
    before = signal.getsignal(number)
    assert Chat(writer).answer("小明")
    assert "stopped by interruption" in capsys.readouterr().out
    assert signal.getsignal(number) is before


def test_on_a_terminal_with_a_real_ctrl_c(run, repo):
    """A pseudo-terminal: its Ctrl-C reaches the program while a graph may run."""
    controller, terminal = pty.openpty()
    command = [sys.executable, repo / "eval_pretrain.py", "--run", run.path, "--interactive"]
    command += ["--eval.max_new_tokens", "60", "--eval.attempts", "1"]
    process = subprocess.Popen(
        command, cwd=repo, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=claim_terminal,
    )  # fmt: skip
    os.close(terminal)
    screen = Screen(controller)
    try:
        screen.wait_for("> ")
        os.write(controller, "小明\n".encode())
        screen.wait_for("->")
        os.write(controller, b"\x03")
        screen.wait_for("stopped by interruption")
        os.write(controller, b"/set temperature 0\n")
        screen.wait_for("temperature = 0.0")
        # Before the prompt stands, the terminal may swallow the end of the input.
        screen.wait_for("> ")
        os.write(controller, b"\x04")
        assert process.wait(60) == 0, screen.text
    finally:
        process.kill()
        os.close(controller)


def claim_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    """What a program has written to a pseudo-terminal."""

    def __init__(self, controller: int):
        self.controller, self.text, self.seen = controller, "", 0

    def wait_for(self, wanted: str, timeout: float = 120) -> None:
        """Read until `wanted` stands after what was waited for before."""
        end = time.monotonic() + timeout
        while wanted not in self.text[self.seen :]:
            assert time.monotonic() < end, self.text
            self.text += os.read(self.controller, 65536).decode("utf-8", "replace")
        self.seen = self.text.index(wanted, self.seen) + len(wanted)
