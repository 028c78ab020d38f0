"""A dialogue on the terminal: each line is continued, and commands change the sampling."""

import contextlib
import dataclasses
import signal
from collections.abc import Iterator

import docstring_parser
import yaml

from common.errors import UserError
from evaluation.config import EvalConfig
from generation.play import play
from generation.writer import Writer

WELCOME = "Write the beginning of a text, or /help."
HELP = """\
A line is the beginning of a text, which the model continues; an empty line lets it begin by itself.
Ctrl-C stops a continuation, Ctrl-D or /quit ends.
  /more             continue the last text
  /set NAME VALUE   change a setting, such as /set temperature 0.7
  /seed NUMBER      use other random numbers
  /show             show the settings
  /reset            restore the settings of the beginning"""
SETTINGS = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "no_repeat_ngram",
    "stop",
    "max_new_tokens",
    "attempts",
    "log_probs",
    "seed",
)
# While a graph runs, MindSpore turns SIGINT into SIGTERM, so Ctrl-C may go by either name.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def converse(writer: Writer) -> None:
    """Continue what is typed until the input ends; what goes wrong is reported and passed over."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - its import alone lets lines be edited
    chat = Chat(writer)
    print(WELCOME)
    for line in ask_lines():
        try:
            if not chat.answer(line):
                return
        except UserError as error:
            print(f"error: {error}")


def ask_lines() -> Iterator[str]:
    """Lines from standard input until it ends."""
    while True:
        try:
            yield input("> ")
        except KeyboardInterrupt:
            print("\n(Ctrl-D or /quit ends)")
        except EOFError:
            print()
            return


class Chat:
    """What a line does; settings live in the writer's `config`."""

    def __init__(self, writer: Writer):
        self.writer, self.first, self.text = writer, writer.config, ""
        self.commands = {
            "/help": self.help,
            "/more": self.more,
            "/set": self.set,
            "/seed": self.seed,
            "/show": self.show,
            "/reset": self.reset,
        }

    def answer(self, line: str) -> bool:
        """Do what a line asks for; False: the dialogue is over.

        Raises:
            UserError: the command or its value is wrong, or the text cannot be continued.
        """
        name, _, rest = line.strip().partition(" ")
        if name == "/quit":
            return False
        if not name.startswith("/"):
            self.play(line)
        elif name in self.commands:
            self.commands[name](rest.strip())
        else:
            raise UserError(f"{name} is unknown; /help lists the commands")
        return True

    def play(self, prompt: str) -> None:
        """Continue a text; Ctrl-C stops that and nothing else."""
        with catch_interrupts() as caught:
            result = play(self.writer, prompt, lambda: bool(caught))
        self.text = prompt + result.text

    def help(self, rest: str) -> None:
        """Print the commands."""
        print(HELP)

    def more(self, rest: str) -> None:
        """Go on with the last text."""
        self.play(self.text)

    def seed(self, rest: str) -> None:
        """Set the seed."""
        self.set(f"seed {rest}")

    def reset(self, rest: str) -> None:
        """Set all back to what the recipe and the command line said."""
        self.writer.config = self.first
        self.show("")

    def show(self, rest: str) -> None:
        """Print the settings and what they mean."""
        docs = docstring_parser.parse_from_object(EvalConfig).params
        meaning = {param.arg_name: param.description for param in docs}
        for name in SETTINGS:
            value = getattr(self.writer.config, name)
            print(f"  {name:<20}{value!s:<8}{meaning[name]}")

    def set(self, rest: str) -> None:
        """Change one setting: its name and its value."""
        name, _, text = rest.partition(" ")
        if name not in SETTINGS:
            raise UserError(f"setting {name!r} is unknown; /show lists them")
        value = read_value(name, text.strip(), getattr(self.writer.config, name))
        try:
            self.writer.config = dataclasses.replace(self.writer.config, **{name: value})
        except ValueError as error:
            raise UserError(str(error)) from error
        print(f"  {name} = {value}")


def read_value(name: str, text: str, old):
    """A setting's new value, of the type of its old one.

    Raises:
        UserError: the text is no such value.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if isinstance(old, list):
        return [str(item) for item in value] if isinstance(value, list) else [text]
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(old):
        kind = {"int": "a whole number", "float": "a number", "bool": "true or false"}
        raise UserError(f"{name} is {text!r}; it must be {kind[type(old).__name__]}")
    return value


@contextlib.contextmanager
def catch_interrupts() -> Iterator[list[int]]:
    """Within the block, signals of Ctrl-C are put into the list and do nothing else."""
    caught: list[int] = []
    before = {s: signal.signal(s, lambda number, frame: caught.append(number)) for s in SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
