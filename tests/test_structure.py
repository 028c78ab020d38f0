"""The house keeps its shape: who imports whom, how long a file gets, what stays private."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
ENTRIES = {"data_process", "pretrain", "eval_pretrain", "export", "serve"}

# A room may import the rooms named here and itself; all may import the standard library.
ALLOWED_ROOMS = {
    "common": set(),
    "model": {"common"},
    "tokenizer": {"common"},
    "chat": {"common", "tokenizer"},
    "corpus": {"common", "tokenizer", "chat"},
    "runs": {"common", "tokenizer", "chat", "corpus", "model", "recipe"},
    "generation": {"common", "tokenizer", "chat", "model", "recipe"},
    "rewards": {"common", "tokenizer", "chat", "corpus", "model", "runs", "generation", "recipe"},
}
BELOW_TRAINING = {*ALLOWED_ROOMS, "recipe"}
ALLOWED_ROOMS["training"] = BELOW_TRAINING
ALLOWED_ROOMS["evaluation"] = ALLOWED_ROOMS["interop"] = BELOW_TRAINING | {"training"}
ALLOWED_ROOMS["serving"] = BELOW_TRAINING | {"training"}
# The recipe knows the rooms' sections and nothing else of them, so a run can be handed a whole one.
RECIPE_MODULES = {f"{room}.config" for room in ALLOWED_ROOMS} | {"training.objectives.config"}
WITHOUT_MINDSPORE = {"common", "tokenizer", "chat", "corpus"}
# What model/ may import beside itself: the framework, numpy, and a little of the standard library.
MODEL_PACKAGES = {
    "mindspore",
    "numpy",
    "collections",
    "dataclasses",
    "functools",
    "llvmlite",
    "math",
    "numba",
    "typing",
    "zlib",
}
# Its kernels for the CPU also need what finds a library, keeps machine code and writes a stub.
NATIVE_PACKAGES = {
    "contextlib",
    "ctypes",
    "filelock",
    "hashlib",
    "json",
    "operator",
    "os",
    "pathlib",
    "platform",
    "shutil",
    "struct",
    "subprocess",
    "sys",
    "tempfile",
}
MAX_LINES = 300


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (REPO / folder).rglob("*.py"))


def room_files() -> list[Path]:
    return sources(*ALLOWED_ROOMS)


def all_files() -> list[Path]:
    return sorted(REPO.glob("*.py")) + room_files() + sources("benchmarks", "tests")


def imports(path: Path) -> list[tuple[str, list[str]]]:
    """Modules that a file imports, also inside functions, with the names taken from each."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append((node.module, [alias.name for alias in node.names]))
    return found


def packages(path: Path) -> set[str]:
    return {module.split(".")[0] for module, _ in imports(path)}


def name_of(path: Path) -> str:
    return str(path.relative_to(REPO))


each_room_file = pytest.mark.parametrize("path", room_files(), ids=name_of)
each_file = pytest.mark.parametrize("path", all_files(), ids=name_of)


@each_room_file
def test_imports_point_downwards(path):
    room = path.relative_to(REPO).parts[0]
    own = {"recipe", "benchmarks", "tests", *ENTRIES, *ALLOWED_ROOMS}
    modules = {module for module, _ in imports(path)}
    if "recipe" in ALLOWED_ROOMS[room]:
        modules -= RECIPE_MODULES  # who may read a recipe may name the types of its sections
    assert {module.split(".")[0] for module in modules} & own <= ALLOWED_ROOMS[room] | {room}


@each_room_file
def test_only_rooms_that_compute_import_mindspore(path):
    room = path.relative_to(REPO).parts[0]
    if room == "model":
        native = NATIVE_PACKAGES if "native" in path.parts else set()
        assert packages(path) <= MODEL_PACKAGES | native | {"model", "common"}
    if room in WITHOUT_MINDSPORE or path.name == "config.py":
        assert "mindspore" not in packages(path)


def test_the_recipe_imports_only_configs_and_common():
    own = {module for module, _ in imports(REPO / "recipe.py")}
    own = {module for module in own if module.split(".")[0] in {*ENTRIES, *ALLOWED_ROOMS}}
    assert {module for module in own if not module.startswith("common.")} <= RECIPE_MODULES


@each_file
def test_nothing_imports_an_entry(path):
    assert not packages(path) & ENTRIES


@each_file
def test_no_private_name_crosses_a_room(path):
    room = path.relative_to(REPO).parts[0]
    for module, names in imports(path):
        if module.split(".")[0] in {"recipe", *ALLOWED_ROOMS} and module.split(".")[0] != room:
            private = [name for name in [*module.split("."), *names] if name.startswith("_")]
            assert not private, f"{module}: {private}"


@each_file
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "path", [path for path in room_files() if path.name == "__init__.py"], ids=name_of
)
def test_a_room_opens_with_its_description_only(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr), "a docstring and nothing else"
