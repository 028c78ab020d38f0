"""data_process.py on dialogues, from a base run to example files."""

import re
import shutil

import pytest

from chat.template import ChatTemplate
from corpus.example_file import open_examples
from recipe import REPO, load_recipe
from tests.chat.cases import make_vocabulary
from tokenizer.tokenizer import load_tokenizer

CONFIG = REPO / "configs" / "debug-sft.yaml"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """What of a base run the data step reads."""
    folder = tmp_path_factory.mktemp("out") / "base"
    folder.mkdir()
    make_vocabulary(folder / "tokenizer.model")
    shutil.copy(REPO / "configs" / "debug.yaml", folder / "recipe.yaml")
    return folder


def test_the_tokenizer_is_that_of_the_base_run(base, tmp_path, run_command):
    options = ("--config", CONFIG, "--data.dir", tmp_path / "data", "--train.init_from")
    done = run_command("data_process.py", *options, base)
    assert (done.returncode, done.stderr) == (0, "")
    assert "messages tests/data/dialogues.jsonl" in done.stdout
    assert " rows of 64 ids, " in done.stdout and done.stdout.endswith("tokens; written\n")
    train, val = open_examples(tmp_path / "data", "sft")
    tokenizer = load_tokenizer("sentencepiece", base)
    template = ChatTemplate.load(tmp_path / "data", tokenizer)
    train.check(tokenizer, template)
    assert template.style.name == load_recipe(CONFIG).data.template
    assert train.n_examples > 150 and val.n_examples > 10
    checkpoint = base / "checkpoints" / "step-20"
    checkpoint.mkdir(parents=True)
    done = run_command("data_process.py", *options, checkpoint)
    assert done.stdout.endswith("tokens; up to date, nothing to do\n")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--train.init_from", "out/nowhere"), "init_from: out/nowhere does not exist; train the"),
        (("--train.init_from", "configs"), "configs holds no tokenizer.model; name a run"),
        (("--data.template", "roles"), "reserves no piece <|system|>, which the chat template"),
        (("--data.kind", "pairs"), "which reads data.kind sft, but data.kind is pairs"),
        (("--data.augment_delete", "1"), "data.augment_delete is 1.0; it must lie in [0, 1)"),
    ],
)
def test_a_recipe_that_does_not_fit_is_one_sentence(options, sentence, base, tmp_path, refusal):
    fixed = ("--config", CONFIG, "--data.dir", tmp_path / "data", "--train.init_from", base)
    assert sentence in refusal("data_process.py", *fixed, *options)


def test_what_pretraining_held_out_is_held_out_again(base, tmp_path, run_command):
    source = "{reader: instructions, path: tests/data/corpus.jsonl}"
    options = ("--data.dir", tmp_path / "data", "--train.init_from", base, "--config", CONFIG)
    done = run_command("data_process.py", *options, "--data.sources", f"[{source}]")
    sentence = (
        "data.val_fraction is 0.15, but .* was pretrained on tests/data/corpus.jsonl with 0.1;"
    )
    assert re.search(sentence, done.stderr)
