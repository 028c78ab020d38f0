"""Hugging Face folders: what transformers makes of ours, and what we make of others'."""

import json
import re

import numpy as np
import pytest

from common.errors import UserError
from interop.exporter import PROMPT, check_config, load, prompt_logits
from interop.hf.format import INDEX, MODEL, read_hf, write_hf
from interop.safetensors_file import SafetensorsFile, write_safetensors
from model.llama import Logits
from tests.interop.cases import FORMS, SCALED, make_run, weights_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def export(run, folder, dtype="float32"):
    """The folder written without the exporter's check; the network and what was exported."""
    network, exported = load(run, dtype)
    folder.mkdir()
    write_hf(exported, folder)
    return network, exported


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("hf") / "model"
    export(run, path)
    return path


@pytest.mark.parametrize("form", [*FORMS, *SCALED])
def test_transformers_gives_our_scores(form, tokenizer, graph_mode, tmp_path):
    run = make_run(tmp_path, tokenizer, **{**FORMS, **SCALED}[form])
    network, exported = export(run, tmp_path / "hf")
    ours = prompt_logits(Logits(network), tokenizer)
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not any(loading.values()), "no key is missing, too many or of another shape"
    assert type(model).__name__ == f"{'Qwen2' if form == 'biased' else 'Llama'}ForCausalLM"
    ids = [tokenizer.eos_id, *tokenizer.encode(PROMPT)][: len(ours)]
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0].numpy()[:, : tokenizer.vocab_size]
    assert np.abs(ours).max() > 1, "scores so small would agree by chance"
    assert np.abs(theirs - ours).max() < 1e-4
    config, weights = read_hf(tmp_path / "hf")
    check_config(config, exported.config)
    assert config.padded_vocab_size == run.recipe.model.padded_vocab_size == 640
    assert all((weights[name] == value).all() for name, value in weights_of(run).items())


def test_the_card_tells_how_to_use_it(run, folder, monkeypatch, capsys):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{run.recipe.model.n_params():,} parameters" in card
    assert "20 steps of 256 tokens: 5,120 tokens" in card
    assert "`do_sample=False, repetition_penalty=1.0` takes the likeliest id each time" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(folder)
    exec(code, {})
    assert capsys.readouterr().out.startswith("小明在学校")


def test_a_chat_run_tells_how_it_is_asked(chat_run, tmp_path, monkeypatch, capsys):
    export(chat_run, tmp_path / "hf")
    card = (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    assert "A chat model of Llama form" in card and "It answers messages" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path / "hf")
    exec(code, {})
    assert capsys.readouterr().out.startswith("小明在学校")
    config = transformers.GenerationConfig.from_pretrained(tmp_path / "hf")
    assert config.eos_token_id == [591, 2], "an answer ends with <|end|>"


def test_the_way_of_sampling_is_the_recipes(run, folder):
    config = transformers.GenerationConfig.from_pretrained(folder)
    settings = run.recipe.eval
    assert (config.temperature, config.top_k) == (settings.temperature, settings.top_k)
    assert (config.max_new_tokens, config.eos_token_id) == (20, 2)
    assert config.suppress_tokens == [*range(600, 640)], "rows that only pad the table"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_rounded_as_torch_rounds(dtype, run, tmp_path):
    export(run, tmp_path / "hf", dtype)
    with_torch = {
        name: torch.from_numpy(value).to(getattr(torch, dtype)).float().numpy()
        for name, value in weights_of(run).items()
    }
    _, weights = read_hf(tmp_path / "hf")
    assert all((weights[name] == value).all() for name, value in with_torch.items())
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype="auto")
    assert theirs.dtype == getattr(torch, dtype)


def test_a_model_saved_by_transformers_in_shards(tmp_path):
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=100, max_position_embeddings=16, rope_theta=500.0,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    shape, weights = read_hf(tmp_path)
    assert (shape.vocab_size, shape.padded_vocab_size, shape.rope_theta) == (100, 128, 500.0)
    assert (shape.norm_eps, shape.tie_embeddings) == (1e-6, False)
    table = model.lm_head.weight.detach().numpy()
    assert (weights["output"][:100] == table).all() and not weights["output"][100:].any()
    key = model.model.layers[1].self_attn.k_proj.weight.detach().numpy()
    assert (weights["layers.1.attention.wk.weight"] == key).all()


def damage_config(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the exported folder, to be damaged."""
    target = tmp_path / "copy"
    target.mkdir()
    for name in (MODEL, "config.json"):
        (target / name).write_bytes((folder / name).read_bytes())
    return target


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "mixtral"}, "model_type is 'mixtral'; only llama and qwen2 can be read"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; only 'silu' can be read"),
        ({"rope_scaling": {"type": "linear"}}, "model.rope_factor is nan"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2}}, "rope_type is 'dynamic'; only def"),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": 2, "beta_fast": 8}},
            "beta_fast of yarn is 8; only 32 can be read",
        ),
        ({"rope_parameters": [1]}, "describes no possible model"),
        ({"hidden_size": "32"}, "hidden_size is '32'; it must be a whole number"),
        ({"num_attention_heads": 5}, "describes no possible model"),
        ({"num_attention_heads": 0}, "describes no possible model"),
        ({"num_hidden_layers": 10**5}, "describes 100000 blocks but holds 20 tensors"),
        ({"num_hidden_layers": 1}, "tensor model.layers.1.* has no place in the model"),
        ({"num_hidden_layers": 3}, "tensor model.layers.2.* is missing"),
        ({"vocab_size": 10**9}, r"embed_tokens.weight has shape \(640, 32\), but"),
        ({"num_key_value_heads": 4}, r"k_proj.weight has shape \(16, 32\), but .* require \(32, "),
        ({"tie_word_embeddings": False}, "tensor lm_head.weight is missing"),
        ({"head_dim": 16}, "head_dim is 16"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit(changes, says, copy):
    damage_config(copy, **changes)
    with pytest.raises(UserError, match=says):
        read_hf(copy)


def test_tensors_that_nobody_needs_are_named(copy, caplog):
    tensors = SafetensorsFile(copy / MODEL)
    weights = {name: tensors.read(name) for name in tensors.entries}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)
    write_safetensors(copy / MODEL, weights, "float32")
    with caplog.at_level("INFO"):
        _, read = read_hf(copy)
    assert "output" not in read
    assert "lm_head.weight is not needed and not loaded" in caplog.text
    assert "inv_freq is not needed" in caplog.text


def test_an_extra_tensor(copy):
    tensors = SafetensorsFile(copy / MODEL)
    weights = {name: tensors.read(name) for name in tensors.entries}
    write_safetensors(copy / MODEL, {**weights, "adapter": np.ones(4, np.float32)}, "float32")
    with pytest.raises(UserError, match="tensor adapter has no place in the model"):
        read_hf(copy)


def test_a_pickle_is_not_read(copy):
    (copy / MODEL).rename(copy / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin is a pickle, which can run code"):
        read_hf(copy)


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ({}, "has no map of weights"),
        ([], "has no map of weights"),
        (
            {"weight_map": {"a": "../model.safetensors"}},
            "names '../model.safetensors', which is no",
        ),
        ({"weight_map": {"a": "x.bin"}}, "names 'x.bin', which is no safetensors file"),
        ({"weight_map": {"a": MODEL}}, "tensor 'a' is missing in the shards"),
    ],
)
def test_an_index_of_shards_that_lies(index, says, copy):
    (copy / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match=says):
        read_hf(copy)
