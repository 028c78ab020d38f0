"""The recipe: typed sections <-> a YAML file <-> options on the command line."""

import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import PathLike, atomic_open, user_path
from common.section_options import apply_options, format_help, read_options
from common.sections import (
    build_section,
    default_values,
    field_docs,
    field_types,
    plain,
    section_in,
    summary,
    update_values,
)
from common.yaml_text import read_yaml, write_yaml
from corpus.config import DataConfig
from evaluation.config import EvalConfig
from model.config import AdapterConfig, ModelConfig
from tokenizer.config import TokenizerConfig
from training.config import TrainConfig
from training.objectives.config import ObjectiveConfig, PretrainConfig

REPO = Path(__file__).resolve().parent
DEMO = REPO / "configs" / "demo.yaml"
FLAGS = ("help", "print_config")
# Runs of earlier versions were saved with the fields of GRPO, whatever their objective.
GRPO_FIELDS, KINDS_WITHOUT_FIELDS = {"group", "rollout_rows", "normalise"}, ("pretrain", "sft")
LONGEST_NAME = 240
"""Bytes of a run's name; file systems end at 255."""


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
    """which part of a trained model is trained further: all of it, or small matrices beside it"""
    objective: ObjectiveConfig = PretrainConfig()
    """what is minimised, and on what kind of data"""
    out_dir: str = "out"
    """folder of the run directories"""

    def __post_init__(self):
        """Expand `~`, and reject settings that contradict each other across sections.

        Raises:
            ValueError: names the fields.
        """
        object.__setattr__(self, "out_dir", str(user_path(self.out_dir)))
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(
                f"name is {self.name!r}; it must be a plain folder name: "
                "letters, digits, '_', '-' and '.', and no '.' or '-' in front"
            )
        if len(self.name.encode()) > LONGEST_NAME:
            raise ValueError(
                f"name is {self.name}; it must be at most {LONGEST_NAME} bytes long, which are "
                f"{LONGEST_NAME // 3} Chinese characters"
            )
        if self.data.kind != self.objective.data_kind:
            raise ValueError(
                f"objective.kind is {self.objective.kind}, which reads data.kind "
                f"{self.objective.data_kind}, but data.kind is {self.data.kind}; "
                "change one of the two"
            )
        if self.model.value_head and not self.objective.value_head:
            raise ValueError(
                f"model.value_head is true, but objective.kind {self.objective.kind} trains none; "
                "leave it out"
            )
        if self.adapter.kind == "lora" and self.train.init_from is None:
            raise ValueError(
                "adapter.kind is lora, but train.init_from is null; name the model to adapt"
            )
        if self.train.max_minutes is not None and self.objective.kind == "grpo":
            raise ValueError(
                f"train.max_minutes is {self.train.max_minutes:g}, but objective.kind is grpo, "
                "whose steps last as long as the answers do; set train.max_steps instead"
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
    words = sys.argv[1:] if argv is None else argv
    words = ["--help" if word == "-h" else word for word in words]
    options = read_options(words, Recipe, ["config"], FLAGS)
    files = [option.text for option in options if option.name == "config"]
    path = files[-1] if files else default
    values = _read_file(path)
    apply_options(Recipe, values, [o for o in options if o.name not in ("config", *FLAGS)])
    asked = {option.name for option in options}
    if "help" in asked:
        others = {
            "--config FILE": f"recipe; options go on top of it (default: {path})",
            "--print_config": "print the recipe as commented YAML and exit",
        }
        print(format_help(Recipe, values, description, others), end="")
        sys.exit(0)
    recipe = build_section(Recipe, values)
    if "print_config" in asked:
        # Not the recipe: its derived sizes would outlive a change of the size they derive from.
        print(_to_yaml(Recipe, values), end="")
        sys.exit(0)
    return recipe


def load_recipe(path: PathLike, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, then apply `overrides` such as `["--eval.top_k", "5"]`.

    Raises:
        UserError: the file or an override is wrong; the sentence names the field.
    """
    values = _read_file(path)
    apply_options(Recipe, values, read_options(overrides, Recipe))
    return build_section(Recipe, values)


def save_recipe(recipe: Recipe, path: PathLike) -> None:
    """Write the resolved recipe as YAML with the field docstrings as comments, atomically."""
    with atomic_open(path, "w") as file:
        file.write(_to_yaml(Recipe, plain(recipe)))


def _read_file(path: PathLike) -> dict[str, Any]:
    """The plain values of a recipe file, with the defaults of what it leaves out."""
    try:
        given = read_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read recipe {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"recipe {path} is not valid YAML: {error}") from error
    if not isinstance(given, dict):
        raise UserError(f"recipe {path} must hold sections such as 'model:' and 'train:'")
    values = default_values(Recipe)
    objective = given.get("objective")
    if isinstance(objective, dict) and objective.get("kind") in KINDS_WITHOUT_FIELDS:
        if objective.keys() >= GRPO_FIELDS:
            given["objective"] = {"kind": objective["kind"]}
    try:
        update_values(Recipe, values, given)
    except UserError as error:
        raise UserError(f"recipe {path}: {error}") from error
    return values


def _to_yaml(section: type, values: dict[str, Any]) -> str:
    """YAML of one section, each field under its docstring; sections within are indented."""
    docs = field_docs(section)
    text = ""
    for name, kind in field_types(section).items():
        inner = section_in(kind, values[name])
        if inner and values[name] is not None:
            body = textwrap.indent(_to_yaml(inner, values[name]), "  ")
            text += f"\n# {summary(inner)}.\n{name}:\n{body}"
        else:
            comment = docs.get(name) or f"{summary(inner)}."
            text += f"# {comment}\n{write_yaml({name: values[name]})}"
    return text
