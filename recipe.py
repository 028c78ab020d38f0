"""The recipe: typed sections <-> a YAML file <-> options on the command line."""

import argparse
import dataclasses
import difflib
import glob
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docstring_parser
import yaml
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from common.errors import UserError
from common.files import PathLike, atomic_open
from corpus.config import DataConfig
from evaluation.config import EvalConfig
from model.config import AdapterConfig, ModelConfig
from tokenizer.config import TokenizerConfig
from training.config import TrainConfig

REPO = Path(__file__).resolve().parent
DEMO = REPO / "configs" / "demo.yaml"
LISTED = "--help lists the known ones"
PLAIN = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list such as [a, b]",
    "dict": "fields such as {field: value}",
    "NoneType": "null",
}


@dataclass(frozen=True)
class Recipe:
    """One run, from raw text to a report."""

    name: str
    """name of the run; its directory is <out_dir>/<name>"""
    tokenizer: TokenizerConfig
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    eval: EvalConfig
    adapter: AdapterConfig = AdapterConfig()
    """what of a trained model is trained further: all of it, or small matrices beside it"""
    out_dir: str = "out"
    """folder of the run directories"""

    def __post_init__(self):
        """Reject settings that contradict each other across sections.

        Raises:
            ValueError: names the fields.
        """
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(
                f"name is {self.name!r}; it must be a plain folder name: "
                "letters, digits, '_', '-' and '.', and no '.' or '-' in front"
            )
        rows = self.train.micro_batch * self.model.max_seq_len
        below = self.train.tokens_per_step // rows * rows
        if below != self.train.tokens_per_step:
            nearest = f"{below} or {below + rows}" if below else f"{rows}"
            raise ValueError(
                f"train.tokens_per_step is {self.train.tokens_per_step}; it must be a multiple of "
                f"train.micro_batch * model.max_seq_len = {rows}, for example {nearest}"
            )
        trained = self.tokenizer.kind == "sentencepiece" and self.tokenizer.path is None
        pieces = self.tokenizer.vocab_size if trained else 1
        if self.model.vocab_size is not None and self.model.vocab_size < pieces:
            raise ValueError(
                f"model.vocab_size is {self.model.vocab_size}; it must be null or at least "
                f"tokenizer.vocab_size {pieces}"
            )

    @property
    def run_dir(self) -> Path:
        """The folder of everything that this run leaves."""
        return Path(self.out_dir) / self.name


def parse_recipe(
    argv: Sequence[str] | None = None, description: str = "", default: PathLike = DEMO
) -> Recipe:
    """Read the recipe that a command line asks for; --help and --print_config print and exit.

    Raises:
        UserError: the file or an option is wrong; the sentence names the field.
    """
    front = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    _add_file_options(front, default)
    try:
        known, overrides = front.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UserError(_sentence(error)) from error
    parser = _make_parser(known.config, description)
    values = _parse(parser, known.config, overrides)
    recipe = _build(parser, values)
    if known.print_config:
        # Not the recipe: its derived sizes would outlive a change of the size they derive from.
        print(_to_yaml(Recipe, values.as_dict()), end="")
        sys.exit(0)
    return recipe


def load_recipe(path: PathLike, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, then apply `overrides` such as `["--eval.top_k", "5"]`.

    Raises:
        UserError: the file or an override is wrong; the sentence names the field.
    """
    parser = _make_parser(path)
    return _build(parser, _parse(parser, path, overrides))


def save_recipe(recipe: Recipe, path: PathLike) -> None:
    """Write the resolved recipe as YAML with the field docstrings as comments, atomically."""
    with atomic_open(path, "w") as file:
        file.write(_to_yaml(Recipe, dataclasses.asdict(recipe)))


def _add_file_options(parser: argparse.ArgumentParser, default: PathLike) -> None:
    parser.add_argument(
        "--config", metavar="FILE", default=str(default), help="recipe; options go on top of it"
    )
    parser.add_argument(
        "--print_config", action="store_true", help="print the recipe as commented YAML and exit"
    )


def _make_parser(path: PathLike, description: str = "") -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        usage="%(prog)s [--config FILE] [--print_config] [--SECTION.FIELD VALUE ...]",
        description=description,
        # As defaults, the file's values also show in --help. The option takes a glob pattern.
        default_config_files=[glob.escape(str(path))],
        print_config=None,
        exit_on_error=False,
    )
    _add_file_options(parser, path)
    parser.add_class_arguments(Recipe)
    return parser


def _parse(parser: ArgumentParser, path: PathLike, overrides: Sequence[str]) -> Namespace:
    _check_file(path)
    options = [arg[2:].split("=")[0] for arg in overrides if arg.startswith("--")]
    # Two levels: jsonargparse brings deeper ones of its own, such as --data.sources.help.
    names = [".".join(name.rstrip("+").split(".")[:2]) for name in options if name != "help"]
    _check_names("option", names, dashes="--")
    # Emptied first: a new source would keep what it does not name from the one it replaces.
    emptied = ["--data.sources=[]"] if "data.sources" in options else []
    try:
        values = parser.parse_args([*emptied, *overrides])
    except argparse.ArgumentError as error:
        raise UserError(_sentence(error)) from error
    return Namespace({field.name: values[field.name] for field in dataclasses.fields(Recipe)})


def _build(parser: ArgumentParser, values: Namespace) -> Recipe:
    try:
        return Recipe(**vars(parser.instantiate(values)))
    except ValueError as error:
        raise UserError(str(error)) from error


def _check_file(path: PathLike) -> None:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path} is not valid YAML: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise UserError(f"recipe {path} must hold sections such as 'model:' and 'train:'")
    _check_names(f"recipe {path}: field", values)
    for section, known in _sections().items():
        fields = values.get(section, {})
        if not isinstance(fields, dict):
            raise UserError(f"recipe {path}: {section} must hold fields such as '{known[0]}: ...'")
        _check_names(f"recipe {path}: field", [f"{section}.{name}" for name in fields])


def _sections() -> dict[str, list[str]]:
    return {
        section.name: [field.name for field in dataclasses.fields(section.type)]
        for section in dataclasses.fields(Recipe)
        if dataclasses.is_dataclass(section.type)
    }


def _check_names(what: str, names: Iterable[Any], dashes: str = "") -> None:
    known = [field.name for field in dataclasses.fields(Recipe)]
    known += [f"{section}.{name}" for section, fields in _sections().items() for name in fields]
    for name in map(str, names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {dashes}{near[0]}?" if near else LISTED
            raise UserError(f"{what} {dashes}{name} is unknown; {hint}")


def _sentence(error: Exception) -> str:
    """Put jsonargparse's tree of errors as: field, value, what it must be."""
    message = str(error)
    field = ""
    for key in re.findall(r"(?:key|Group|Option|option) ['\"]([\w.]+)['\"]", message):
        field = key if key.startswith(field) else f"{field}.{key}"
    missing = re.search(r"arguments are required: (.*)", message)
    if missing:
        return f"{field}.{missing[1]} is missing".lstrip(".")
    if "not accept" in message:
        return f"field {field} is unknown; {LISTED}"
    value = re.search(r"(?:Got|Given) value: (.*)", message)
    value = value or re.search(r"Unable to load config '(.*)'", message)
    if not (field and value):
        return _one_line(message)
    types = re.findall(r"Expected an? (.+?)(?:\. Got value|$)", message, flags=re.MULTILINE)
    types = [re.sub(r"<class '(.+?)'>", r"\1", name) for name in types or ["dict"]]
    types = [re.sub(r"(?:typing\.)?Literal\[(.+)\]", r"one of \1", name) for name in types]
    return f"{field} is {value[1]}; it must be {' or '.join(PLAIN.get(t, t) for t in types)}"


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())


def _to_yaml(section: type, values: dict[str, Any]) -> str:
    """YAML of one section, each field under its docstring; sections within are indented."""
    docs = docstring_parser.parse_from_object(section)
    comments = {param.arg_name: param.description for param in docs.params}
    text = ""
    for field in dataclasses.fields(section):
        value = values[field.name]
        if dataclasses.is_dataclass(field.type):
            summary = docstring_parser.parse(field.type.__doc__).short_description
            body = textwrap.indent(_to_yaml(field.type, value), "  ")
            text += f"\n# {summary}\n{field.name}:\n{body}"
        else:
            plain = yaml.safe_dump({field.name: value}, allow_unicode=True, sort_keys=False)
            text += f"# {_one_line(comments[field.name])}\n{plain}"
    return text
