"""Our side of benchmarks/decode.py: FOLDER SHAPE [options]; reads "<batch> <new>" lines."""

import argparse
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.decode_shapes import SHAPES, START, WEIGHTS, prompts

LLAMA2C_ORDER = (
    "attention_norm",
    "attention.wq",
    "attention.wk",
    "attention.wv",
    "attention.wo",
    "ffn_norm",
    "feed_forward.w1",
    "feed_forward.w2",
    "feed_forward.w3",
)


def main() -> None:
    """Write the weights for all contenders, or answer lines with times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--weights", choices=("float32", "int8"), default="float32")
    args = parser.parse_args()
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", str(args.folder))
    from generation.decoding import Decoder
    from model.config import ModelConfig
    from model.int8 import Int8Llama
    from model.llama import Llama
    from runs.device import select_device

    select_device("CPU")
    config = ModelConfig(**SHAPES[args.shape])
    network = Llama(config)
    values = {name: p.asnumpy() for name, p in network.parameters_and_names()}
    if args.save:
        np.savez(args.folder / WEIGHTS, **values)
        save_for_llama2c(args.folder, config, values)
        return
    if args.weights == "int8":
        network = Int8Llama(config)
        network.fill(values.__getitem__)
    decoder = Decoder(network)
    for line in sys.stdin:
        batch, new = map(int, line.split())
        seconds, ids = timed(decoder, batch, new)
        print("took", seconds, *ids, flush=True)


def timed(decoder, batch: int, new: int) -> tuple[float, list[int]]:
    """Seconds for `new` greedy ids after prompts of random ids, and those of the first row."""
    from generation.generation import Generation
    from generation.sampling import Sampling

    texts = prompts(batch)[:, 1:].tolist()
    sampling = Sampling(temperature=0, max_new_tokens=new)
    vocab_size = decoder.network.config.vocab_size
    start = time.perf_counter()
    generation = Generation(decoder, texts, sampling, START, (), vocab_size)
    ids = [token.token for token in generation if token.row == 0]
    return time.perf_counter() - start, ids


def save_for_llama2c(folder: Path, config, weights: dict[str, np.ndarray]) -> None:
    """Write model.bin and tokenizer.bin of llama2.c.

    Its rotary layout is another one; left as it is here, that changes the ids and not the time.
    """
    heads, tables = (config.n_heads, config.n_kv_heads), (config.vocab_size, config.max_seq_len)
    with open(folder / "model.bin", "wb") as file:
        file.write(
            struct.pack("7i", config.dim, config.hidden_dim, config.n_layers, *heads, *tables)
        )
        file.write(weights["embedding"].tobytes())
        for name in LLAMA2C_ORDER:
            for layer in range(config.n_layers):
                file.write(weights[f"layers.{layer}.{name}.weight"].tobytes())
        file.write(weights["norm.weight"].tobytes())
        file.write(bytes(4 * config.max_seq_len * config.head_dim))
    with open(folder / "tokenizer.bin", "wb") as file:
        file.write(struct.pack("I", 8))
        for i in range(config.vocab_size):
            piece = f"{i:06d}".encode()
            file.write(struct.pack("fI", 0.0, len(piece)) + piece)


if __name__ == "__main__":
    main()
