"""llama.cpp in benchmarks/decode.py: FOLDER SHAPE LIBRARIES TYPE; reads "<batch> <new>" lines.

Its library is called directly, so no program has to be built: LIBRARIES is the folder of
libllama and libggml, of a build of one's own or out of an npm package of node-llama-cpp.
"""

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf.quants import quantize

from benchmarks.decode_shapes import PROMPT, SHAPES, WEIGHTS, prompts
from interop.gguf.format import add_shape
from interop.names import foreign_names
from interop.rope_layout import to_interleaved
from model.config import ModelConfig

TYPES = {
    "float32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
LARGEST_PARAMETERS = 1024
"""Bytes that hold the parameters of a model, a context or a thread pool in any version."""


class Parameters(ctypes.Structure):
    """Those of one of these; a function reads as much of them as its version knows."""

    _fields_ = [("head", ctypes.c_uint32 * 4), ("rest", ctypes.c_byte * LARGEST_PARAMETERS)]


class Batch(ctypes.Structure):
    """llama_batch of llama.h: ids with their positions, texts, and whether logits are wanted."""

    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def main() -> None:
    """Answer lines with times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("libraries", type=Path)
    parser.add_argument("type", choices=TYPES)
    args = parser.parse_args()
    config = ModelConfig(**SHAPES[args.shape])
    model = args.folder / f"{args.type}.gguf"
    write_gguf(model, config, np.load(args.folder / WEIGHTS), args.type)
    peer = LlamaCpp(args.libraries, model, config.vocab_size)
    for line in sys.stdin:
        batch, new = map(int, line.split())
        seconds, ids = peer.timed(batch, new)
        print("took", seconds, *ids, flush=True)


def write_gguf(path: Path, config: ModelConfig, weights, kind: str) -> None:
    """Write the weights for llama.cpp, without a vocabulary."""
    weights = to_interleaved({name: weights[name] for name in weights.files}, config)
    own_type, file_type = TYPES[kind]
    writer = GGUFWriter(path, "llama")
    writer.add_file_type(file_type)
    add_shape(writer, config)
    writer.add_tokenizer_model("no_vocab")
    for ours, name in foreign_names(config, "gguf").items():
        dtype = own_type if weights[ours].ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(weights[ours], dtype), raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class LlamaCpp:
    """A model in llama.cpp's own library, with as many threads as there are processors."""

    def __init__(self, libraries: Path, model: Path, vocab_size: int):
        """Load the library and the model; a context is made for each batch size."""
        (ggml,) = libraries.glob("libggml.*so")
        (llama,) = libraries.glob("libllama.*so")
        backends = ctypes.CDLL(str(ggml), mode=ctypes.RTLD_GLOBAL)
        backends.ggml_backend_load_all_from_path(str(libraries).encode())
        self.library, self.vocab_size = declared(ctypes.CDLL(str(llama))), vocab_size
        self.threads = len(os.sched_getaffinity(0))
        self.new_pool, self.free_pool = pool_functions(backends)
        self.library.llama_backend_init()
        parameters = self.library.llama_model_default_params()
        self.model = self.library.llama_model_load_from_file(str(model).encode(), parameters)
        if not self.model:
            raise SystemExit(f"llama.cpp did not load {model}")

    def context(self, batch: int, length: int, pool: int) -> int:
        """Room for `batch` texts of `length` ids, which a thread pool reads."""
        parameters = self.library.llama_context_default_params()
        # n_ctx (of all texts together), n_batch, n_ubatch, n_seq_max
        parameters.head[:] = (batch * length, batch * PROMPT, batch * PROMPT, batch)
        context = self.library.llama_init_from_model(self.model, parameters)
        self.library.llama_set_n_threads(context, self.threads, self.threads)
        self.library.llama_attach_threadpool(context, pool, None)
        return context

    def timed(self, batch: int, new: int) -> tuple[float, list[int]]:
        """Seconds for `new` greedy ids after each prompt, and those of the first row.

        Threads wait between calls, as in llama.cpp's own programs: without a pool, a build without
        OpenMP starts and ends them at each call. The pool ends with the text, because its threads
        do not sleep at once, and the next contender wants the processor.
        """
        pool = self.new_pool(self.threads)
        context = self.context(batch, -(-(PROMPT + new) // 256) * 256, pool)
        rows = self.library.llama_batch_init(batch * PROMPT, 0, 1)
        start, ids = time.perf_counter(), []
        last = self.read(context, rows, prompts(batch), 0)
        ids.append(int(last[0]))
        for position in range(PROMPT, PROMPT + new - 1):
            last = self.read(context, rows, last[:, None], position)
            ids.append(int(last[0]))
        seconds = time.perf_counter() - start
        self.library.llama_batch_free(rows)
        self.library.llama_free(context)
        self.free_pool(pool)
        return seconds, ids

    def read(self, context: int, rows: Batch, tokens: np.ndarray, begin: int) -> np.ndarray:
        """Read the next ids of each text, (B, n), from position `begin`; the likeliest after."""
        batch, n = tokens.shape
        rows.n_tokens = batch * n
        places = [(b, t) for b in range(batch) for t in range(n)]
        for i, (b, t) in enumerate(places):
            rows.token[i], rows.pos[i], rows.n_seq_id[i] = int(tokens[b, t]), begin + t, 1
            rows.seq_id[i][0], rows.logits[i] = b, t == n - 1
        if self.library.llama_decode(context, rows):
            raise SystemExit("llama_decode failed")
        logits = self.library.llama_get_logits(context)
        return np.ctypeslib.as_array(logits, (batch, self.vocab_size)).argmax(-1)


def declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of the functions that are called."""
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    types = {
        "llama_backend_init": (None, []),
        "llama_model_default_params": (Parameters, []),
        "llama_model_load_from_file": (pointer, [ctypes.c_char_p, Parameters]),
        "llama_context_default_params": (Parameters, []),
        "llama_init_from_model": (pointer, [pointer, Parameters]),
        "llama_set_n_threads": (None, [pointer, number, number]),
        "llama_attach_threadpool": (None, [pointer, pointer, pointer]),
        "llama_batch_init": (Batch, [number, number, number]),
        "llama_batch_free": (None, [Batch]),
        "llama_decode": (number, [pointer, Batch]),
        "llama_get_logits": (ctypes.POINTER(ctypes.c_float), [pointer]),
        "llama_free": (None, [pointer]),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def pool_functions(backends: ctypes.CDLL) -> tuple[Callable[[int], int], Callable[[int], None]]:
    """How a pool of so many threads is made, and how it is freed."""
    pointer, text, parameters = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Parameters)
    defaults, registered, address = (
        ctypes.CFUNCTYPE(result, *kinds)((name, backends))
        for name, result, *kinds in (
            ("ggml_threadpool_params_default", Parameters, ctypes.c_int),
            ("ggml_backend_reg_by_name", pointer, text),
            ("ggml_backend_reg_get_proc_address", pointer, pointer, text),
        )
    )
    processor = registered(b"CPU")
    new = ctypes.CFUNCTYPE(pointer, parameters)(address(processor, b"ggml_threadpool_new"))
    free = ctypes.CFUNCTYPE(None, pointer)(address(processor, b"ggml_threadpool_free"))
    return lambda threads: new(defaults(threads)), free


if __name__ == "__main__":
    main()
