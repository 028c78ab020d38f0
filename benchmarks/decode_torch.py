"""The peer of benchmarks/decode.py: FOLDER SHAPE; reads "<batch> <new>" lines."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.decode_shapes import PROMPT, SHAPES, START, WEIGHTS, prompts

NAMES = {
    "embedding": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "attention_norm": "input_layernorm",
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
}


def main() -> None:
    """Answer lines with times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("shape", choices=SHAPES)
    args = parser.parse_args()
    model = load(SHAPES[args.shape], np.load(args.folder / WEIGHTS))
    for line in sys.stdin:
        batch, new = map(int, line.split())
        texts = torch.tensor(prompts(batch))
        start = time.perf_counter()
        ids = model.generate(
            texts,
            attention_mask=torch.ones_like(texts),
            max_new_tokens=new,
            do_sample=False,
        )
        seconds = time.perf_counter() - start
        print("took", seconds, *ids[0, PROMPT:].tolist(), flush=True)


def load(shape: dict, weights) -> LlamaForCausalLM:
    """The same network with the same weights, in float32."""
    config = LlamaConfig(
        hidden_size=shape["dim"],
        intermediate_size=weights["layers.0.feed_forward.w1.weight"].shape[0],
        num_hidden_layers=shape["n_layers"],
        num_attention_heads=shape["n_heads"],
        vocab_size=shape["vocab_size"],
        max_position_embeddings=shape["max_seq_len"],
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    state = {theirs(name): torch.tensor(weights[name]) for name in weights.files}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = START
    return model


def theirs(name: str) -> str:
    """Hugging Face's name of one of our parameters."""
    if name in NAMES:
        return NAMES[name]
    _, layer, cell = name.removesuffix(".weight").split(".", 2)
    return f"model.layers.{layer}.{NAMES[cell]}.weight"


if __name__ == "__main__":
    main()
