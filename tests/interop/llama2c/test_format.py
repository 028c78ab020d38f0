"""llama2.c's files do in llama2.c what the run does here."""

import dataclasses
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from common.errors import UserError
from interop.exporter import export, load
from interop.llama2c import format as llama2c
from interop.llama2c import q8 as llama2c_q8
from interop.llama2c.tokenizer import tokenizer_bin
from interop.pieces import read_pieces
from model.llama import Logits
from tests.interop.cases import FORMS, corpus_texts, make_run
from tests.interop.llama2c_reference import Model, Vocabulary
from tests.interop.vocabularies import trained
from tokenizer.tokenizer import load_tokenizer

pytestmark = pytest.mark.usefixtures("graph_mode")

TEXTS = ("床前明月光，疑是地上霜。", " 却说  曹操 12", "Hello, world 𠮷😀", "<s>a</s>", "天", "")
NEW = 24


def swapped(ids):
    """Our ids as llama2.c counts them."""
    return [{1: 2, 2: 1}.get(i, i) for i in ids]


class Ours:
    """A run and its most likely continuations."""

    def __init__(self, run):
        self.network, self.exported = load(run, "float32")
        self.tokenizer, self.scores = self.exported.tokenizer, Logits(self.network)

    def logits(self, ids) -> np.ndarray:
        """Scores after each id, (t, V); padded to one length, so one compilation."""
        row = np.zeros((1, self.network.config.max_seq_len), np.int32)
        row[0, : len(ids)] = ids
        found = self.scores(Tensor(row), Tensor(np.zeros_like(row))).asnumpy()
        return found[0, : len(ids), : self.tokenizer.vocab_size]

    def write(self, prompt: str, new: int) -> list[int]:
        ids = [self.tokenizer.eos_id, *self.tokenizer.encode(prompt)]
        n_prompt = len(ids)
        while len(ids) < n_prompt + new:
            token = int(self.logits(ids)[-1].argmax())
            if token == self.tokenizer.eos_id:
                break
            ids.append(token)
        return ids[n_prompt:]


@pytest.fixture(scope="module", params=[False, True], ids=["as trained here", "as ChatGLM's"])
def ours(request, tmp_path_factory):
    """Runs with a vocabulary that has no space before a text, and with one that has."""
    tokenizer = trained(tmp_path_factory.mktemp("words"), add_dummy_prefix=request.param)
    return Ours(make_run(tmp_path_factory.mktemp("run"), tokenizer, n_kv_heads=2))


def test_run_continues_as_we_do(ours, tmp_path):
    llama2c.write(ours.exported, tmp_path)
    model = Model(tmp_path / "model.bin")
    vocabulary = Vocabulary(tmp_path / "tokenizer.bin", model.vocab)
    assert model.vocab == ours.tokenizer.vocab_size, "no padding rows"
    for text in TEXTS:
        assert model.write(vocabulary, text, NEW)[0] == swapped(ours.write(text, NEW))


def test_it_stops_where_we_stop(ours, tmp_path):
    """With an <eos> that is likely after a text."""
    prompt, eos_id = TEXTS[0], ours.tokenizer.eos_id
    expected = ours.write(prompt, NEW)
    weights = {name: value.copy() for name, value in ours.exported.weights.items()}
    weights["embedding"][eos_id] = 1.5 * weights["embedding"][expected[-1]]
    llama2c.write(dataclasses.replace(ours.exported, weights=weights), tmp_path)
    model = Model(tmp_path / "model.bin")
    vocabulary = Vocabulary(tmp_path / "tokenizer.bin", model.vocab)
    assert len(model.write(vocabulary, prompt, NEW)[0]) < NEW


def test_a_text_gets_our_ids(ours, tmp_path):
    llama2c.write(ours.exported, tmp_path)
    vocabulary = Vocabulary(tmp_path / "tokenizer.bin", ours.tokenizer.vocab_size)
    spaced = read_pieces(ours.tokenizer, 600, "llama2.c").dummy_prefix
    for text in [*TEXTS, *(text[:40] for text in corpus_texts()[:100])]:
        first, *rest = vocabulary.encode(text)
        assert rest == ours.tokenizer.encode(text)
        assert first == (1 if spaced or not text else 2)


def test_chatglm_gets_its_ids(chatglm_model, tmp_path):
    tokenizer = load_tokenizer("sentencepiece", chatglm_model)
    pieces = read_pieces(tokenizer, 64794, "llama2.c")  # with the five that its class adds
    (tmp_path / "tokenizer.bin").write_bytes(tokenizer_bin(pieces))
    vocabulary = Vocabulary(tmp_path / "tokenizer.bin", 64794)
    for text in [*TEXTS, *(text[:40] for text in corpus_texts())]:
        assert vocabulary.encode(text) == [1, *tokenizer.encode(text)]


@pytest.mark.parametrize("form", ["tied", "untied", "grouped"])
def test_both_formats_hold_the_weights(form, tokenizer, tmp_path):
    if form == "untied":  # or the embedding of <s> is lost
        tokenizer = trained(tmp_path, add_dummy_prefix=True)
    run = make_run(tmp_path / "run", tokenizer, **FORMS[form])
    exported, scores = load(run, "float32")[1], {}
    for module in (llama2c, llama2c_q8):
        folder = tmp_path / module.__name__
        folder.mkdir()
        module.write(exported, folder)
        config, weights = module.read_back(folder)
        assert config == dataclasses.replace(
            run.recipe.model, vocab_size=exported.config.vocab_size
        )
        assert weights.keys() == exported.weights.keys()
        scores[module] = Model(folder / "model.bin").logits([1, 50, 60, 70])
        for name, value in exported.weights.items():
            rows = slice(config.vocab_size if name in ("embedding", "output") else None)
            error = np.abs(weights[name][rows] - value[rows]).reshape(-1, 32).max(-1)
            largest = np.abs(value[rows]).reshape(-1, 32).max(-1)
            half_a_scale = 0.5 / 127 if module is llama2c_q8 and value.ndim > 1 else 0
            if name == "embedding" and form == "untied" and not half_a_scale:
                assert error.max() == 0
            assert (error <= 1.001 * half_a_scale * largest).all(), name
    difference = np.abs(scores[llama2c] - scores[llama2c_q8]).max()
    assert 0 < difference < 0.1 * np.abs(scores[llama2c]).max()


@pytest.mark.parametrize("name", ["llama2c", "llama2c-q8"])
def test_an_export_is_checked(run, name, tmp_path):
    summary = export(run, name, tmp_path / "out")
    assert "of the largest score" in summary
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.bin", "tokenizer.bin"}


@pytest.mark.parametrize("module", [llama2c, llama2c_q8])
def test_a_file_cut_short_is_told(module, run, tmp_path):
    module.write(load(run, "float32")[1], tmp_path)
    path = tmp_path / "model.bin"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="model.bin is damaged"):
        module.read_back(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_theta": 1e6},
        {"rope_scaling": "linear"},
        {"norm_eps": 1e-6},
        {"attention_bias": True},
        {"document_mask": True},
    ],
)
def test_what_llama2c_cannot_run(changes, run, tmp_path):
    exported = load(run, "float32")[1]
    recipe = run.recipe
    recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, **changes))
    (name,) = changes
    with pytest.raises(UserError, match=f"only runs models with model.{name} .*; export as hf"):
        llama2c.write(dataclasses.replace(exported, recipe=recipe), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model_type": "unigram"}, "not merged pairs"),
        ({"normalization_rule_name": "nmt_nfkc"}, "replaces characters"),
        ({"byte_fallback": False}, "no pieces for single bytes"),
        ({"remove_extra_whitespaces": True}, "removes spaces"),
        ({"unk_id": 2, "bos_id": 0, "eos_id": 1}, "needs the ids 0, 1, 2 to be"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_vocabularies_that_llama2c_reads_otherwise(options, says, run, tmp_path):
    exported = dataclasses.replace(load(run, "float32")[1], tokenizer=trained(tmp_path, **options))
    with pytest.raises(UserError, match=says):
        llama2c.write(exported, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("program", ["run", "runq"])
def test_the_real_programs(program, ours, tmp_path):
    """$LLAMA2C is a folder with `run` and `runq`, built from github.com/karpathy/llama2.c.

    `run` is held against the run itself. `runq` also rounds between the matrices, where a random
    network's close calls go either way, so it is held against the same rounding.
    """
    folder = os.environ.get("LLAMA2C")
    if not folder:
        pytest.skip("LLAMA2C names no folder with llama2.c's run and runq")
    {"run": llama2c, "runq": llama2c_q8}[program].write(ours.exported, tmp_path)
    model = Model(tmp_path / "model.bin", rounds=True)
    vocabulary = Vocabulary(tmp_path / "tokenizer.bin", model.vocab)
    for text in TEXTS:
        if program == "run":
            new = swapped(ours.write(text, NEW))
        else:
            new = model.write(vocabulary, text, NEW)[0]
        ids = [*vocabulary.encode(text), *new]
        expected = b"".join(vocabulary.spell(a, b) for a, b in zip(ids, ids[1:]))
        steps = len(ids) - 1 + (len(new) < NEW)  # one more, to see it stop
        command = [Path(folder) / program, tmp_path / "model.bin", "-z", tmp_path / "tokenizer.bin"]
        done = subprocess.run(
            [*command, "-t", "0", "-n", str(steps), "-i", text], capture_output=True, check=True
        )
        assert done.stdout == expected + b"\n", text
