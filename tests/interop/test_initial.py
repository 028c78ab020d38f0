"""Initial weights: what fits is taken to the bit; of what does not, the field is named."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from common.errors import UserError
from interop.exporter import export, load
from interop.hf.format import MODEL, write_hf
from interop.initial import read_initial
from interop.spelling import gguf_spelling, hf_spelling, shared_ids, spelling
from model.llama import Llama
from tests.interop.cases import make_recipe, make_run, make_tokenizer, weights_of
from tests.interop.gguf.test_file import LLAMA, llama_tensors, write
from tests.model.cases import values


def recipe_from(path, folder, tokenizer, reset="none", **model):
    recipe = make_recipe(folder, tokenizer, **model)
    train = dataclasses.replace(recipe.train, init_from=str(path), init_reset=reset)
    return dataclasses.replace(recipe, train=train)


def export_hf(run, folder):
    folder.mkdir()
    write_hf(load(run, "float32")[1], folder)
    return folder


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    return export_hf(run, tmp_path_factory.mktemp("initial") / "hf")


@pytest.fixture(scope="module")
def sources(run, folder):
    """The same model as a Hugging Face folder, a run, and a checkpoint of that."""
    return {"hf": folder, "run": run.path, "checkpoint": run.newest_checkpoint().path}


@pytest.mark.parametrize("kind", ["hf", "run", "checkpoint"])
def test_a_model_comes_back_to_the_bit(kind, sources, run, tokenizer, tmp_path):
    recipe = recipe_from(sources[kind], tmp_path, tokenizer)
    initial = read_initial(recipe, tokenizer)
    network = Llama(recipe.model, seed=7)
    initial.fill(network)
    right = weights_of(run)
    assert right.keys() == initial.weights.keys()
    assert all(value.tobytes() == right[name].tobytes() for name, value in values(network).items())
    assert str(sources[kind]) in initial.lines[0]
    assert initial.lines[-1] == "all tensors are loaded; the vocabularies are the same"


def test_a_folder_without_a_vocabulary_says_so(folder, tokenizer, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in (MODEL, "config.json"):
        shutil.copy(folder / name, bare)
    lines = read_initial(recipe_from(bare, tmp_path, tokenizer), tokenizer).lines
    assert "ids could not be compared" in lines[-1]
    with pytest.raises(UserError, match="has no vocabulary to share; put its tokenizer.json"):
        read_initial(recipe_from(bare, tmp_path, tokenizer, "shared"), tokenizer)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"n_layers": 3}, "attention_norm.weight is missing, .* set model.n_layers 2$"),
        (
            {"n_kv_heads": 4},
            r"its tensor layers.0.attention.wk.weight has shape \(16, 32\), the recipe's model "
            r"wants \(32, 32\); set model.n_kv_heads 2$",
        ),
        ({"dim": 64, "hidden_dim": 96}, "embedding has .* set model.dim 32, model.hidden_dim 64$"),
        ({"attention_bias": True}, "wq.bias is missing, .* set model.attention_bias false$"),
        ({"rope_theta": 5e5}, "does not fit the recipe: set model.rope_theta 10000.0$"),
        ({"tie_embeddings": False}, "output is missing, .* set model.tie_embeddings true$"),
    ],
)
def test_another_shape(model, says, folder, tokenizer, tmp_path):
    with pytest.raises(UserError, match=says):
        read_initial(recipe_from(folder, tmp_path, tokenizer, **model), tokenizer)


def test_a_longer_context_is_told(folder, tokenizer, tmp_path):
    recipe = recipe_from(folder, tmp_path, tokenizer, max_seq_len=128)
    assert "it was trained on contexts of 64 tokens" in read_initial(recipe, tokenizer).lines[1]


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """Another vocabulary of the same corpus, with 1,000 ids in 1,024 rows."""
    return make_tokenizer(tmp_path_factory.mktemp("larger"), 1000)


def test_another_vocabulary_needs_a_decision(folder, larger, tmp_path):
    says = r"embedding has shape \(640, 32\), .* wants \(1024, 32\), .* set train.init_reset"
    with pytest.raises(UserError, match=says):
        read_initial(recipe_from(folder, tmp_path, larger), larger)


def test_other_pieces_in_as_many_rows_need_a_decision(folder, tmp_path):
    other = make_tokenizer(tmp_path, 620)
    with pytest.raises(UserError, match="id .* of its vocabulary is .*; set train.init_reset"):
        read_initial(recipe_from(folder, tmp_path, other), other)


def test_new_tables_keep_the_blocks(folder, run, larger, tmp_path):
    recipe = recipe_from(folder, tmp_path, larger, "embeddings", tie_embeddings=False)
    initial, network = read_initial(recipe, larger), Llama(recipe.model, seed=7)
    new = values(Llama(recipe.model, seed=7))
    initial.fill(network)
    right = weights_of(run)
    for name, value in values(network).items():
        expected = new[name] if name in ("embedding", "output") else right[name]
        assert (value == expected).all(), name
    assert initial.lines[-1] == "not loaded: embedding; the tables are drawn anew"


def test_shared_pieces_keep_their_rows(folder, run, tokenizer, larger, tmp_path):
    initial = read_initial(recipe_from(folder, tmp_path, larger, "shared"), larger)
    old, new = weights_of(run)["embedding"], initial.weights["embedding"]
    mean = old[:600].mean(0)
    assert new.shape == (1024, 32)
    for text in ("学", "\n", "0", "小"):
        (there,), (here,) = tokenizer.encode(text), larger.encode(text)
        assert (new[here] == old[there]).all(), text
    assert (new[larger.eos_id] == old[tokenizer.eos_id]).all()
    carried = sum(bool((row == old).all(1).any()) for row in new)
    assert f"embedding: {carried:,} of 1,024 rows are carried over" in initial.lines[-1]
    fresh = [row for row in new if not (row == old).all(1).any()]
    assert 259 < carried < 1000 and np.allclose(fresh, mean, atol=1e-6)


def test_vocabularies_of_two_kinds_are_matched_by_their_bytes(tokenizer, tmp_path):
    # GPT-2's letters: a space is Ġ, a line break Ċ, and å°ı the three bytes of 小.
    pieces = {"å°ı": 0, "Ċ": 1, "Ġ": 2, "zzz": 3}
    values = {"model": {"vocab": pieces}, "decoder": {"type": "ByteLevel"}}
    values["added_tokens"] = [{"id": 4, "content": "</s>"}]
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    theirs = hf_spelling(tmp_path)
    assert theirs == {0: "小".encode(), 1: b"\n", 2: b" ", 3: b"zzz", 4: b"</s>"}
    shared = shared_ids(spelling(tokenizer), theirs)
    (small,) = tokenizer.encode("小")
    assert shared[small] == 0 and shared[tokenizer.eos_id] == 4
    # A space is a piece of ours, and its byte is another.
    assert sorted(shared.values()) == [0, 1, 2, 2, 4]


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"model": {"vocab": 5}}', b"\xff\xfe", b"abc"])
def test_a_damaged_vocabulary(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is (damaged|not valid)"):
        hf_spelling(tmp_path)


def test_a_gguf_file(tokenizer, tmp_path):
    path = write(tmp_path / "x.gguf", llama_tensors(), LLAMA)
    assert gguf_spelling(path) is None
    shape = {"dim": 8, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "hidden_dim": 12}
    initial = read_initial(recipe_from(path, tmp_path, tokenizer, "embeddings", **shape), tokenizer)
    assert len(initial.weights) == 10
    assert "it was trained on contexts of 16 tokens" in initial.lines[1]


@pytest.mark.parametrize("name", ["model.ckpt", "pytorch_model.bin", "x.pt", "x.pth"])
def test_a_pickle_is_never_read(name, tokenizer, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_bytes(b"\x80\x04.")
    for path in (tmp_path / "folder" / name, tmp_path / "folder"):
        with pytest.raises(UserError, match=f"{name} is a pickle, which can run code"):
            read_initial(recipe_from(path, tmp_path, tokenizer), tokenizer)


def test_nothing_to_start_from(tokenizer, tmp_path):
    with pytest.raises(UserError, match="nowhere is no model to start from; name a Hugging Face"):
        read_initial(recipe_from(tmp_path / "nowhere", tmp_path, tokenizer), tokenizer)


def test_a_reset_without_a_model(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="train.init_reset is shared; without train.init_from"):
        dataclasses.replace(make_recipe(tmp_path, tokenizer).train, init_reset="shared")


def test_an_export_that_was_checked_is_a_place_to_start(tokenizer, graph_mode, tmp_path):
    run = make_run(tmp_path, tokenizer, tie_embeddings=False)
    export(run, "hf", tmp_path / "out" / "there", "bfloat16")
    recipe = recipe_from(tmp_path / "out" / "there", tmp_path, tokenizer, tie_embeddings=False)
    initial, right = read_initial(recipe, tokenizer), weights_of(run)
    assert all(np.allclose(initial.weights[name], right[name], rtol=2**-8) for name in right)
