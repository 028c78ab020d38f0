"""The command line of eval_pretrain.py."""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import docstring_parser

from common.errors import UserError
from common.files import user_path
from evaluation.config import EvalConfig

EXAMS = ("idioms", "cmmlu", "ceval", "mmlu")
EPILOG = """\
Without --prompt, --prompts_file, --interactive, --chat and --web, the run is evaluated in full:
loss, perplexity and bits per byte on the whole held-out file, the idioms exam if the run learns
idioms, the continuation suite, continuations of the recipe's prompts, a loss curve and a report in
the run directory. With one of them, only those prompts are continued. With --text or --exam, only
the texts or exams are measured, and the result is added to the report. For a run that was trained
further, the loss on held-out answers is measured and its answers to held-out tasks are scored.

Everything else comes from the run's recipe. Any field of it can be overridden, such as
--data.dir DIR, and for the continuations:
"""


@dataclasses.dataclass(frozen=True)
class ExamOptions:
    """Which exams to take, and how."""

    names: list[str]
    data: Path | None
    """folder of the exams' files; None: the Hugging Face hub"""
    shots: int
    """solved examples before each question"""
    subjects: list[str] | None
    """None: all"""

    def folder(self, name: str) -> Path | None:
        """Where the files of an exam stand: in a folder of its name, if there is one."""
        named = self.data and self.data / name
        return named if named and named.is_dir() else self.data


@dataclasses.dataclass(frozen=True)
class BestOfOptions:
    """How many answers a reward chooses from, and what is asked."""

    n: int
    reward: str
    tasks: Path | None
    """data folder of tasks; None: that of the run"""


@dataclasses.dataclass(frozen=True)
class Options:
    """What a command line asks for."""

    run: Path | None
    """run directory; None: the newest"""
    prompts: list[str] | None
    """prompts to continue; None: the recipe's"""
    interactive: bool
    """read prompts from the terminal"""
    chat: bool
    """read questions from the terminal, and answer them"""
    web: bool
    """show a page to play with"""
    web_port: int
    """0: a free one"""
    overrides: list[str]
    """options for the run's recipe"""
    texts: list[tuple[str, Path]]
    """files of raw text to measure the loss on, with their names"""
    exams: ExamOptions
    best_of: BestOfOptions | None
    compare: list[Path] | None
    """runs to compare"""

    @property
    def only_measure(self) -> bool:
        """Whether to measure given texts and exams, and nothing else."""
        return bool(self.texts or self.exams.names)

    @property
    def only_play(self) -> bool:
        """Whether to continue prompts and measure nothing."""
        return self.interactive or self.chat or self.prompts is not None


def parse_options(argv: Sequence[str] | None = None, description: str = "") -> Options:
    """Read a command line; --help prints and exits.

    Raises:
        UserError: an option lacks its value, or the file of prompts cannot be used.
    """
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--run DIR] [--prompt TEXT ...] [--prompts_file FILE] [--interactive] "
        "[--chat] [--web] [--web_port N] "
        "[--best_of N --reward NAME [--tasks DIR]] "
        "[--text [NAME=]FILE ...] [--exam NAME ...] [--compare DIR DIR ...] "
        "[--SECTION.FIELD VALUE ...]",
        description=description,
        epilog=EPILOG + "\n".join(_field_lines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument(
        "--run", type=user_path, metavar="DIR", help="run directory (default: the newest)"
    )
    parser.add_argument(
        "--prompt", nargs="+", action="extend", metavar="TEXT", help="texts to continue"
    )
    parser.add_argument(
        "--prompts_file", type=user_path, metavar="FILE", help="texts to continue, one a line"
    )
    parser.add_argument(
        "--interactive", action="store_true", help="ask for texts; /help lists the commands"
    )
    parser.add_argument(
        "--chat", action="store_true", help="ask for questions and answer them, in turns"
    )
    parser.add_argument("--web", action="store_true", help="a page in the browser to play with")
    parser.add_argument(
        "--web_port",
        type=int,
        default=8000,
        metavar="N",
        help="port of the page; 0: a free one (default: 8000)",
    )
    _add_measurements(parser)
    try:
        known, overrides = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        words, name = list(sys.argv[1:] if argv is None else argv), error.argument_name
        dashed = any(a == name and b.startswith("-") for a, b in zip(words, words[1:]))
        hint = f"; a value that begins with a dash is written {name}=VALUE" if dashed else ""
        raise UserError(f"{error}{hint}") from error
    prompts = known.prompt
    if known.prompts_file:
        prompts = [*(prompts or []), *read_prompts(known.prompts_file)]
    if known.shots < 0:
        raise UserError(f"--shots is {known.shots}; it must not be negative")
    if known.web and (
        prompts or known.interactive or known.chat or known.text or known.exam or known.compare
    ):
        raise UserError("--web serves a page until Ctrl-C and does nothing else; give it alone")
    return Options(
        run=known.run,
        prompts=prompts,
        interactive=known.interactive,
        chat=known.chat,
        web=known.web,
        web_port=known.web_port,
        overrides=overrides,
        texts=[_named(text) for text in known.text or []],
        exams=ExamOptions(known.exam or [], known.exam_data, known.shots, known.subjects),
        best_of=_best_of(known),
        compare=known.compare,
    )


def read_prompts(path: Path) -> list[str]:
    """The lines of a file that are not blank.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or has no such line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read prompts from {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; convert it") from error
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise UserError(f"{path} holds no prompt; write one a line")
    return prompts


def _best_of(known: argparse.Namespace) -> BestOfOptions | None:
    if known.best_of is None and known.reward is None and known.tasks is None:
        return None
    if known.best_of is None or known.reward is None:
        raise UserError(
            "--best_of and --reward belong together, such as --best_of 8 --reward poem_rules"
        )
    if known.best_of < 2:
        raise UserError(
            f"--best_of is {known.best_of}; there must be at least 2 answers to choose from"
        )
    others = ("interactive", "chat", "web", "text", "exam", "compare")
    if given := [name for name in others if getattr(known, name)]:
        raise UserError(f"--best_of and --{given[0]} are two commands; give one of them")
    if known.tasks and (known.prompt or known.prompts_file):
        raise UserError("--tasks and --prompt both say what is asked; give one of them")
    return BestOfOptions(known.best_of, known.reward, known.tasks)


def _add_measurements(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text",
        nargs="+",
        action="extend",
        metavar="[NAME=]FILE",
        help="files of raw text to measure",
    )
    parser.add_argument(
        "--exam", nargs="+", action="extend", choices=EXAMS, help=f"exams: {', '.join(EXAMS)}",
        metavar="NAME",
    )  # fmt: skip
    parser.add_argument(
        "--exam_data", type=user_path, metavar="DIR",
        help="folder of an exam's published files, or of folders cmmlu, ceval, mmlu "
        "(default: the Hugging Face hub)",
    )  # fmt: skip
    parser.add_argument(
        "--shots",
        type=int,
        default=5,
        metavar="N",
        help="solved examples before a question (default: 5)",
    )
    parser.add_argument(
        "--subjects", nargs="+", metavar="NAME", help="subjects of the exam (default: all)"
    )
    parser.add_argument(
        "--best_of", type=int, metavar="N",
        help="answer prompts, or the run's held-out tasks, N times each, and keep the best",
    )  # fmt: skip
    parser.add_argument(
        "--reward", metavar="NAME", help="what chooses: a reward, or model:DIR of a reward model"
    )
    parser.add_argument("--tasks", type=Path, metavar="DIR", help="data folder of other tasks")
    parser.add_argument(
        "--compare", nargs="+", type=user_path, metavar="DIR", help="runs to set side by side"
    )


def _named(text: str) -> tuple[str, Path]:
    """`NAME=FILE`, or a file whose name serves as one."""
    name, _, path = text.rpartition("=")
    return (name, user_path(path)) if name else (Path(text).stem, user_path(text))


def _field_lines() -> Iterator[str]:
    for param in docstring_parser.parse_from_object(EvalConfig).params:
        yield f"  --eval.{param.arg_name:<20}{param.description}"
