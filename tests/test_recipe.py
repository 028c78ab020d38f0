"""The recipe: files, overrides, printing, and one sentence for every mistake."""

import re

import pytest
import yaml

from common.errors import UserError
from common.sections import alternatives, field_types, sections_in
from evaluation.config import EvalConfig
from model.config import ModelConfig
from recipe import Recipe, load_recipe, parse_recipe, save_recipe
from training.config import TrainConfig

SMALL = """
name: small
tokenizer: {kind: sentencepiece, vocab_size: 600}
data: {dir: data, sources: [{reader: jsonl, path: a.jsonl}]}
model: {dim: 96, n_layers: 2, n_heads: 4, max_seq_len: 64}
train: {max_steps: 20, warmup_steps: 2, tokens_per_step: 256, micro_batch: 4, learning_rate: 6e-4}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def error_of(path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_recipe(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_argument_means_the_demo_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = parse_recipe([])
    assert recipe.name == "demo"
    assert str(recipe.run_dir) == "out/demo"


def test_overrides_win_wherever_they_stand(small):
    recipe = parse_recipe(["--model.dim", "64", "--config", str(small), "--train.max_steps=10"])
    assert (recipe.name, recipe.model.dim, recipe.train.max_steps) == ("small", 64, 10)
    assert recipe.train.learning_rate == 6e-4
    assert recipe.model.n_layers == 2


def test_another_recipe_inherits_nothing_from_the_demo(small):
    assert parse_recipe(["--config", str(small)]) == load_recipe(small)


def test_derived_sizes_follow_the_overridden_ones(small):
    assert load_recipe(small).model.hidden_dim == 256
    model = load_recipe(small, ["--model.dim", "192", "--model.n_heads", "6"]).model
    assert (model.hidden_dim, model.n_kv_heads) == (512, 6)


def test_lists_can_be_replaced_and_extended(small):
    assert load_recipe(small, ["--eval.prompts", "[春天, 夏天]"]).eval.prompts == ["春天", "夏天"]
    assert load_recipe(small, ["--eval.prompts+", "春天"]).eval.prompts[1:] == ["春天"]


def test_a_new_source_keeps_nothing_of_the_one_it_replaces(small):
    small.write_text(SMALL.replace("path: a.jsonl", "path: a.jsonl, field: body"))
    (source,) = load_recipe(small, ["--data.sources", "[{reader: json, path: b}]"]).data.sources
    assert (source.reader, source.path, source.field) == ("json", "b", "text")
    added = ["--data.sources+", "{reader: json, path: b}"]
    assert [s.path for s in load_recipe(small, added).data.sources] == ["a.jsonl", "b"]


def test_saved_recipe_loads_as_the_same(small, tmp_path):
    recipe = load_recipe(small, ["--eval.temperature", "0"])
    save_recipe(recipe, tmp_path / "run" / "recipe.yaml")
    assert load_recipe(tmp_path / "run" / "recipe.yaml") == recipe


def test_print_config_round_trips_with_comments(small, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_recipe(["--config", str(small), "--print_config", "--train.seed", "7"])
    printed = capsys.readouterr().out
    assert not stopped.value.code
    assert "  # peak learning rate\n  learning_rate: 0.0006\n" in printed
    assert yaml.safe_load(printed)["model"]["hidden_dim"] is None, "derived sizes stay derived"
    (tmp_path / "printed.yaml").write_text(printed, encoding="utf-8")
    assert load_recipe(tmp_path / "printed.yaml") == load_recipe(small, ["--train.seed", "7"])


def test_help_shows_docstrings_and_the_recipes_own_values(small, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse_recipe(["--config", str(small), "--help"], description="Train a model.")
    text = " ".join(capsys.readouterr().out.split())
    assert not stopped.value.code
    assert "Train a model." in text
    assert "--model.dim INT width D of the residual stream (default: 96)" in text
    assert "name of the run" in text


def test_every_field_has_a_docstring(small, capsys):
    with pytest.raises(SystemExit):
        parse_recipe(["--config", str(small), "--print_config"])
    lines = capsys.readouterr().out.splitlines()
    fields = [i for i, line in enumerate(lines) if re.match(r"(  )?\w+:", line)]
    assert len(fields) > 40
    for i in fields:
        assert re.match(r" *# \S", lines[i - 1]), lines[i]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--model.dim abc", "model.dim is abc; it must be a whole number"),
        ("--model.dim 3.5", "model.dim is 3.5; it must be a whole number"),
        ("--train.learning_rate fast", "train.learning_rate is fast; it must be a number"),
        ("--train.resume maybe", "train.resume is maybe; it must be one of 'auto', 'never'"),
        ("--model.tie_embeddings 3", "model.tie_embeddings is 3; it must be true or false"),
        ("--eval.prompts a", "eval.prompts is a; it must be a list"),
        ("--model 3", "model is 3; it must be fields"),
        ("--data.sources [3]", "data.sources is 3; it must be fields"),
        ("--data.sources [{reader: a}]", "data.sources.path is missing"),
        ("--data.sources [{reader: a, path: b, fild: c}]", "field data.sources.fild is unknown"),
        ("--train {max_steps: [3]}", "train.max_steps is [3]; it must be a whole number"),
        ("--train {maxsteps: 3}", "field train.maxsteps is unknown"),
        ("--modle.dim 64", "option --modle.dim is unknown; did you mean --model.dim?"),
        ("--model.dims=64", "option --model.dims is unknown; did you mean --model.dim?"),
        ("--zzz 1", "option --zzz is unknown; --help lists the known ones"),
        ("--model.dim", "option --model.dim needs a value"),
        ("stray", "stray"),
        ("--model.dim 63", "model.dim is 63"),
        ("--model.n_kv_heads 3", "model.n_kv_heads is 3; it must divide model.n_heads 4"),
        ("--data.val_fraction 2", "data.val_fraction is 2.0"),
        ("--tokenizer.kind chatglm2", "tokenizer.path is missing"),
        ("--model.vocab_size 10", "model.vocab_size is 10; it must be null or at least"),
        ("--name a/b", "name is 'a/b'; it must be a plain folder name"),
        ("--name ..", "name is '..'; it must be a plain folder name"),
        ("--train.tokens_per_step 700", "train.tokens_per_step is 700;"),
        ("--train.tokens_per_step 700", "model.max_seq_len = 256, for example 512 or 768"),
        ("--train.tokens_per_step 7", "for example 256"),
    ],
)
def test_a_bad_option_is_one_sentence(small, options, says):
    assert says in error_of(small, *options.split(maxsplit=1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SMALL + "modell: {dim: 3}", "field modell is unknown; did you mean model?"),
        (SMALL.replace("dim:", "dims:"), "field model.dims is unknown; did you mean model.dim?"),
        (SMALL.replace("96", "wide"), "model.dim is wide; it must be a whole number"),
        (SMALL.replace("name: small", ""), "name is missing"),
        (SMALL.replace(", path: a.jsonl", ""), "data.sources.path is missing"),
        ("name: x\nmodel:\n", "model is null; it must be fields such as {dim: value}"),
        ("", "must hold sections"),
        ("- a\n", "must hold sections"),
        ("name: [", "is not valid YAML"),
        (SMALL + "config: x", "field config is unknown"),
        (SMALL + "train: {max_steps: 3}", "train appears twice, in lines 6 and 7"),
        (SMALL.replace("n_layers", "dim: 64, n_layers"), "dim appears twice, in line 5"),
        (SMALL.replace("name: small", "name: 2024"), "name is 2024; it must be text; write '2024'"),
    ],
)
def test_a_bad_file_is_one_sentence(small, text, says):
    small.write_text(text, encoding="utf-8")
    assert says in error_of(small)


def numeric_fields() -> list[list[str]]:
    """Options for all fields of the sections that hold a number, and what chooses their kind."""
    return [
        ([f"--{section}.kind={inner.kind}"] if len(sections_in(kind)) > 1 else [])
        + [f"--{section}.{name}"]
        for section, kind in field_types(Recipe).items()
        for inner in sections_in(kind)
        for name, numbers in field_types(inner).items()
        if {int, float} & set(alternatives(numbers))
    ]


@pytest.mark.parametrize("value", ["NaN", ".nan", ".inf", "-.inf", "18446744073709551616", "-1"])
def test_no_number_beyond_its_range(small, value):
    fields = numeric_fields()
    assert len(fields) > 40
    for *kind, field in fields:
        assert f"{field[2:]} is " in error_of(small, *kind, f"{field}={value}"), field


def test_an_objective_has_the_fields_of_its_kind(small, tmp_path, capsys):
    grpo = ["--objective.group=4", "--objective.kind=grpo", "--data.kind=task"]
    recipe = load_recipe(small, grpo)
    assert (recipe.objective.kind, recipe.objective.group, recipe.objective.clip) == (
        "grpo",
        4,
        0.2,
    )
    save_recipe(recipe, tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == recipe
    again = load_recipe(tmp_path / "saved.yaml", ["--objective.beta", "0.5"])
    assert (again.objective.beta, again.objective.group) == (0.5, 4)
    other = load_recipe(tmp_path / "saved.yaml", ["--objective.kind=sft", "--data.kind=sft"])
    assert vars(other.objective) == {"kind": "sft"}, "of another kind nothing stays"
    for options in (["--objective.group", "4"], ["--objective", "{group: 4}"]):
        assert error_of(small, *options) == (
            "field objective.group is unknown for objective.kind pretrain; its fields are kind"
        )
    said = error_of(small, "--objective", "{kind: grpo, epsilon: 0.2}")
    assert "objective.epsilon is unknown for objective.kind grpo; its fields are kind, re" in said
    said = error_of(small, "--objective", "{kind: grpo, group: 1}", "--data.kind", "task")
    assert "objective.group is 1; it must be at least 2" in said
    assert "it must be one of pretrain, sft" in error_of(small, "--objective.kind", "ppo2")
    with pytest.raises(SystemExit):
        parse_recipe(["--config", str(small), "--help"])
    assert "--objective.group INT" in capsys.readouterr().out


def test_runs_saved_with_the_fields_of_all_objectives_are_read(small):
    flat = "objective: {kind: pretrain, group: 8, rollout_rows: 32, normalise: token}\n"
    small.write_text(SMALL + flat)
    assert vars(load_recipe(small).objective) == {"kind": "pretrain"}


@pytest.mark.parametrize("section", [ModelConfig, TrainConfig, EvalConfig])
def test_a_section_made_in_code_refuses_them_as_well(section):
    for name, kind in field_types(section).items():
        if {int, float} & set(alternatives(kind)):
            for value in (float("nan"), float("inf"), 2**64, -1):
                with pytest.raises(ValueError, match=rf"\.{name} is .*; it must"):
                    section(**{name: value})


def test_a_file_that_is_not_there(tmp_path):
    assert f"cannot read recipe {tmp_path / 'no.yaml'}" in error_of(tmp_path / "no.yaml")


@pytest.mark.parametrize("argv", [["--config"], ["--print_config=x"], ["--confg", "x"]])
def test_a_bad_file_option_is_one_sentence(argv):
    with pytest.raises(UserError, match=argv[0].split("=")[0]):
        parse_recipe(argv)


def test_the_home_folder_is_expanded(small, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ming")
    options = ("--out_dir=~/runs", "--train.init_from=~/base", "--data.dir=~/data")
    recipe = load_recipe(small, options)
    assert str(recipe.run_dir) == "/home/ming/runs/small"
    assert (recipe.train.init_from, recipe.data.dir) == ("/home/ming/base", "/home/ming/data")


def test_a_limit_of_time_and_grpo(small):
    options = ["--train.max_minutes", "9", "--objective.kind", "grpo", "--data.kind", "task"]
    says = "train.max_minutes is 9, but objective.kind is grpo, whose steps last as long"
    assert says in error_of(small, *options)
