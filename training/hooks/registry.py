"""Loggers by name: hooks that show a run's records elsewhere, as `train.loggers` asks."""

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from common.errors import UserError
from runs.run import Run
from training.hooks.base import Record, RecordHook

# The modules whose loggers a recipe can name; a new logger is a new module and a line here.
LOGGER_MODULES = (
    "training.hooks.tensorboard",
    "training.hooks.swanlab",
    "training.hooks.wandb",
)

LOGGERS: dict[str, "Logger"] = {}


@dataclass(frozen=True)
class Logger:
    """How a logger begins, and what it needs."""

    begin: Callable[[Run, Sequence[Record]], RecordHook]
    """`begin(run, past)`, where `past` are the records up to the step that the run goes on from"""
    package: str
    """Python package that must be installed"""


def logger(name: str, package: str) -> Callable:
    """Register the decorated class or function as the logger `name`; see `Logger`."""

    def register(begin: Callable[[Run, Sequence[Record]], RecordHook]) -> Callable:
        LOGGERS[name] = Logger(begin, package)
        return begin

    return register


def find_loggers(names: Iterable[str]) -> list[Logger]:
    """The loggers that a recipe names.

    Raises:
        UserError: there is none of that name, or its package is not installed.
    """
    for module in LOGGER_MODULES:
        importlib.import_module(module)
    for name in names:
        if name not in LOGGERS:
            known = ", ".join(sorted(LOGGERS))
            raise UserError(f"train.loggers: {name!r} is unknown; the loggers are {known}")
        package = LOGGERS[name].package
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"train.loggers: {name} needs the package {package}; install it with: "
                f"python -m pip install {package}"
            )
    return [LOGGERS[name] for name in names]
