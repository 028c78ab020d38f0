"""Adapters in the layout of `peft`, and merged ones in that of transformers, give our logits."""

import json

import numpy as np
import pytest

from common.errors import UserError
from interop.exporter import PROMPT, export, load, prompt_logits
from interop.hf.peft import write
from model.config import MATRICES, AdapterConfig
from model.llama import Logits
from tests.interop.cases import adapted_network, make_adapter_run, make_run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

CASES = {
    "all seven": (AdapterConfig(kind="lora", rank=3, alpha=7.5), {}),
    "two": (AdapterConfig(kind="lora", targets=["wq", "w2"]), {"attention_bias": True}),
    "tables and norms": (
        AdapterConfig(kind="lora", train_embedding=True, train_norms=True),
        {"tie_embeddings": False},
    ),
    "a tied table": (AdapterConfig(kind="lora", rank=1, alpha=2.0, train_embedding=True), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_peft_gives_our_logits(case, tokenizer, graph_mode, tmp_path):
    peft = pytest.importorskip("peft")
    config, form = CASES[case]
    base_run = make_run(tmp_path, tokenizer, n_kv_heads=2, **form)
    network = adapted_network(base_run.load_model(), config)
    run = make_adapter_run(base_run, network, config, "adapted")
    ours = prompt_logits(Logits(network), tokenizer)
    assert "differ by at most" in export(run, "peft", tmp_path / "peft")

    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "peft" / "base")
    model = peft.PeftModel.from_pretrained(base, tmp_path / "peft")
    ids = torch.tensor([[tokenizer.eos_id, *tokenizer.encode(PROMPT)][: len(ours)]])
    with torch.no_grad():
        theirs = model(ids).logits[0].numpy()[:, : tokenizer.vocab_size]
        frozen = model.base_model.model.model.layers[0].self_attn.q_proj.base_layer.weight
    largest = max(1, np.abs(ours).max())
    assert np.abs(theirs - ours).max() < 1e-5 * largest
    unadapted = base_run.load_model()
    assert np.abs(prompt_logits(Logits(unadapted), tokenizer) - ours).max() > 0.1
    q = unadapted.layers[0].attention.wq.weight.asnumpy()
    assert np.abs(frozen.numpy()).max() > 0 and frozen.shape == q.shape


def test_other_formats_get_the_merged_weights(tokenizer, graph_mode, tmp_path):
    config = AdapterConfig(kind="lora", targets=MATRICES)
    base_run = make_run(tmp_path, tokenizer, n_kv_heads=2)
    network = adapted_network(base_run.load_model(), config)
    run = make_adapter_run(base_run, network, config, "adapted")
    export(run, "hf", tmp_path / "hf")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").double()
    # In float64, so that only our rounding counts, which a lively network makes larger.
    ours = prompt_logits(Logits(run.load_model()), tokenizer)
    ids = torch.tensor([[tokenizer.eos_id, *tokenizer.encode(PROMPT)][: len(ours)]])
    with torch.no_grad():
        theirs = model(ids).logits[0].numpy()[:, : tokenizer.vocab_size]
    assert np.abs(theirs - ours).max() < 1e-5 * max(1, np.abs(ours).max())


def test_a_run_without_an_adapter(run, tmp_path):
    with pytest.raises(UserError, match="run debug has no adapter, .*; export as hf"):
        write(load(run, "float32")[1], tmp_path)


def test_the_config_says_what_was_trained(tokenizer, graph_mode, tmp_path):
    config = AdapterConfig(kind="lora", rank=2, alpha=8.0, targets=["wv", "w3"])
    base_run = make_run(tmp_path, tokenizer)
    network = adapted_network(base_run.load_model(), config)
    export(make_adapter_run(base_run, network, config, "adapted"), "peft", tmp_path / "peft")
    said = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert (said["r"], said["lora_alpha"], said["modules_to_save"]) == (2, 8, None)
    assert said["target_modules"] == ["v_proj", "up_proj"]
