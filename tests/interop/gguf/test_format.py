"""model.gguf, read with the `gguf` package's own reader, and by llama.cpp where it is there."""

import dataclasses
import json
import os
import subprocess

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from mindspore import Tensor

from common.errors import UserError
from interop.exporter import export, load
from interop.gguf import format as gguf_writer
from interop.new_folder import new_folder
from interop.rope_layout import interleave
from model.llama import Logits
from tests.interop.cases import FORMS, SCALED, make_run
from tests.interop.vocabularies import trained

pytestmark = pytest.mark.usefixtures("graph_mode")

# Prints as JSON, for each text: llama.cpp's ids, and the most likely id after each of them.
LLAMA_CPP = """
import json, sys
import numpy as np
from llama_cpp import Llama
model, answers = Llama(sys.argv[1], n_ctx=0, logits_all=True, verbose=False), []
for text in json.load(sys.stdin):
    ids = model.tokenize(text.encode(), add_bos=True, special=False)
    model.reset()
    model.eval(ids)
    answers.append([ids, np.array(model.scores[: len(ids)]).argmax(-1).tolist()])
json.dump(answers, sys.stdout)
"""
TEXTS = [
    "床前明月光，疑是地上霜。",
    " 却说  曹操 12",
    "Hello, world 𠮷😀",
    "<s>a</s>\n<0x0A>",
    "天",
]


def written(run, folder, dtype="float32"):
    """What the package reads of an export: fields, and tensors as float32."""
    exported = load(run, dtype)[1]
    gguf_writer.write(exported, folder)
    reader = GGUFReader(folder / "model.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {
        t.name: (t.tensor_type.name, dequantize(t.data, t.tensor_type)) for t in reader.tensors
    }
    return exported, fields, tensors


def test_a_full_disk_is_one_sentence_and_leaves_nothing(run, tmp_path, full_disk):
    """numpy reports it without its number."""
    exported, says = load(run, "float32")[1], "gguf: No space left .*; make room"
    with full_disk(50_000), pytest.raises(UserError, match=says):
        with new_folder(tmp_path / "gguf") as folder:
            gguf_writer.write(exported, folder)
    assert not list(tmp_path.iterdir())


def test_the_fields_that_llama_cpp_needs(run, tmp_path):
    exported, fields, tensors = written(run, tmp_path)
    config = exported.config
    expected = {
        "general.architecture": "llama",
        "general.file_type": 0,
        "llama.vocab_size": 600,
        "llama.context_length": config.max_seq_len,
        "llama.embedding_length": 32,
        "llama.block_count": config.n_layers,
        "llama.feed_forward_length": 64,
        "llama.attention.head_count": config.n_heads,
        "llama.attention.head_count_kv": config.n_kv_heads,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": config.head_dim,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.bos_token_id": 2,  # a document begins after an <eos>
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
    }
    assert {name: fields[name] for name in expected} == expected
    assert fields["tokenizer.ggml.tokens"][:4] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert fields["tokenizer.ggml.token_type"][:4] == [2, 3, 3, 6]
    assert len(fields["tokenizer.ggml.scores"]) == len(fields["tokenizer.ggml.tokens"]) == 600
    assert "output.weight" not in tensors, "the tables are tied"


@pytest.mark.parametrize("form", [*FORMS, *SCALED])
def test_rows_and_names(form, tokenizer, tmp_path):
    run = make_run(tmp_path / "run", tokenizer, **{**FORMS, **SCALED}[form])
    exported, fields, tensors = written(run, tmp_path)
    weights, biased = exported.weights, form == "biased"
    assert fields["general.architecture"] == ("qwen2" if biased else "llama")
    assert (tensors["token_embd.weight"][1] == weights["embedding"][:600]).all()
    assert ("output.weight" in tensors) == (form == "untied")
    # qwen2 turns halves, as we do; llama turns neighbours.
    key = weights["layers.1.attention.wk.weight"]
    key = key if biased else interleave(key, exported.config.n_kv_heads)
    assert (tensors["blk.1.attn_k.weight"][1] == key).all()
    assert (tensors["blk.1.attn_v.weight"][1] == weights["layers.1.attention.wv.weight"]).all()
    assert ("blk.0.attn_q.bias" in tensors) == biased
    scaling = {n.split("scaling.")[1]: v for n, v in fields.items() if "rope.scaling" in n}
    if form == "ntk":
        assert fields["llama.rope.freq_base"] > 100.0 and not scaling
    elif form in SCALED:
        assert scaling.pop("original_context_length", 16) == exported.config.max_seq_len // 4
        assert scaling == {"type": form, "factor": 4.0}
    config, back = gguf_writer.read_back(tmp_path)
    assert config == dataclasses.replace(exported.config, vocab_size=600)
    assert all((back[name][:600] == weights[name][:600]).all() for name in weights)


@pytest.mark.parametrize(("dtype", "stored"), [("float16", "F16"), ("q8_0", "Q8_0")])
def test_narrow_types_keep_vectors_whole(dtype, stored, run, tmp_path):
    exported, _, tensors = written(run, tmp_path, dtype)
    kinds = {kind for name, (kind, _) in tensors.items() if "norm" not in name}
    assert kinds == {stored}
    assert tensors["output_norm.weight"][0] == tensors["blk.0.ffn_norm.weight"][0] == "F32"
    down = exported.weights["layers.0.feed_forward.w2.weight"]
    np.testing.assert_allclose(tensors["blk.0.ffn_down.weight"][1], down, atol=0.005)


def test_an_export_is_checked(run, tmp_path):
    summary = export(run, "gguf", tmp_path / "out", "q8_0")
    assert "of the largest score" in summary
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.gguf"]


def test_texts_that_do_not_see_the_document_before(tokenizer, tmp_path):
    run = make_run(tmp_path / "run", tokenizer, document_mask=True)
    assert written(run, tmp_path)[1]["tokenizer.ggml.add_bos_token"] is False


def test_a_chat_run_has_its_template_and_the_id_that_ends_an_answer(chat_run, tmp_path):
    exported, fields, _ = written(chat_run, tmp_path)
    end_id = exported.tokenizer.special_ids["<|end|>"]
    template = exported.template.jinja(generation=False)
    assert "generation %}" not in template
    assert fields["tokenizer.chat_template"] == template
    assert fields["tokenizer.ggml.eot_token_id"] == end_id == 591
    assert fields["tokenizer.ggml.tokens"][end_id] == "<|end|>"
    assert fields["tokenizer.ggml.token_type"][end_id] == 3, "llama.cpp finds it in the template"
    assert fields["tokenizer.ggml.add_bos_token"] is False


def test_what_cannot_be_written(run, tokenizer, tmp_path):
    odd = make_run(tmp_path / "run", tokenizer, dim=40, hidden_dim=48)
    with pytest.raises(UserError, match="rows of a multiple of 32, but model.dim is 40"):
        gguf_writer.write(load(odd, "q8_0")[1], tmp_path)
    likely = trained(tmp_path, model_type="unigram")
    with pytest.raises(UserError, match="llama.cpp cannot read text as the tokenizer"):
        gguf_writer.write(dataclasses.replace(load(run, "float32")[1], tokenizer=likely), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("form", [*FORMS, *SCALED])
def test_llama_cpp_agrees(form, dtype, tmp_path):
    """$LLAMA_CPP_PYTHON is a Python that has llama-cpp-python."""
    python = os.environ.get("LLAMA_CPP_PYTHON")
    if not python:
        pytest.skip("LLAMA_CPP_PYTHON names no Python that has llama-cpp-python")
    tokenizer = trained(tmp_path, add_dummy_prefix=form == "untied")
    run = make_run(tmp_path / "run", tokenizer, **{**FORMS, **SCALED}[form])
    network, exported = load(run, dtype)
    gguf_writer.write(exported, tmp_path)
    done = subprocess.run(
        [python, "-c", LLAMA_CPP, tmp_path / "model.gguf"],
        input=json.dumps(TEXTS), capture_output=True, text=True, check=True,
    )  # fmt: skip
    scores = Logits(network)
    for text, (ids, likeliest) in zip(TEXTS, json.loads(done.stdout)):
        assert ids == [tokenizer.eos_id, *tokenizer.encode(text)]
        row = np.zeros((1, network.config.max_seq_len), np.int32)
        row[0, : len(ids)] = ids
        ours = scores(Tensor(row), Tensor(np.zeros_like(row))).asnumpy()[0, : len(ids), :600]
        assert likeliest == ours.argmax(-1).tolist()
