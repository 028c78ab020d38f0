"""Can a custom operator bring bfloat16 to the CPU?  python -m benchmarks.custom_matmul [--help].

MindSpore has no bfloat16 kernels there, but the oneDNN library that it ships has them. This calls
that library through ctypes, on rows shared by two threads (ctypes lets them run together), and
then the same from `ops.Custom`, beside `ops.MatMul`. All do float32 in, float32 out. Times are
medians, and all contenders take turns in every round.

On a Xeon with bfloat16 instructions but no matrix units (AMX) the product gained nothing, on an AMD
EPYC (Zen 5) it is twice as fast. Training calls it from its own kernels (model/native/rounding.py).
"""

import argparse
import ctypes
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

SHAPES = [(2048, 288, 768), (1024, 288, 64794), (512, 512, 64794), (2048, 2048, 2048)]
"""rows, inner and columns: a feed-forward at 7.4M parameters, output layers, a large square"""
THREADS = 2


def load_library() -> ctypes.CDLL:
    """The oneDNN of this MindSpore."""
    library = ctypes.CDLL(str(Path(ms.__file__).parent / "lib" / "libdnnl.so.3"))
    size, pointer, scale = ctypes.c_int64, ctypes.c_void_p, ctypes.c_float
    for function in (library.dnnl_sgemm, library.dnnl_gemm_bf16bf16f32):
        function.argtypes = [
            ctypes.c_char, ctypes.c_char, size, size, size, scale, pointer, size, pointer, size,
            scale, pointer, size,
        ]  # fmt: skip
    return library


@functools.cache
def pool() -> ThreadPoolExecutor:
    """The threads, which stay between calls."""
    return ThreadPoolExecutor(THREADS)


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """The upper halves of float32 numbers, rounded to nearest, ties to even: uint16."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def product(function, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b^T, (M, N) float32, of a (M, K) and b (N, K), by one of oneDNN's functions."""
    inner, columns = a.shape[1], b.shape[0]
    out = np.empty((a.shape[0], columns), np.float32)

    def part(index: int) -> int:
        rows = slice(len(a) * index // THREADS, len(a) * (index + 1) // THREADS)
        return function(
            b"N", b"T", rows.stop - rows.start, columns, inner, 1.0, a[rows].ctypes.data, inner,
            b.ctypes.data, inner, 0.0, out[rows].ctypes.data, columns,
        )  # fmt: skip

    assert not any(pool().map(part, range(THREADS))), "oneDNN refused"
    return out


class Product(nn.Cell):
    """a b^T in a graph, by an operator of (a, b)."""

    def __init__(self, operator):
        super().__init__()
        self.operator = operator

    def construct(self, a, b):
        """The product, (M, N)."""
        return self.operator(a, b)


def contenders(library: ctypes.CDLL, a: np.ndarray, b: np.ndarray) -> dict:
    """What is timed, by name: functions without arguments that return (M, N) float32."""
    a16, b16 = to_bfloat16(a), to_bfloat16(b)

    def custom(a, b):
        return product(library.dnnl_gemm_bf16bf16f32, to_bfloat16(a), to_bfloat16(b))

    shape = (len(a), len(b))
    in_graph = Product(
        ops.Custom(custom, lambda a, b: shape, lambda a, b: ms.float32, func_type="pyfunc")
    )
    stock, tensors = Product(ops.MatMul(transpose_b=True)), (Tensor(a), Tensor(b))
    return {
        "ops.MatMul, float32": lambda: stock(*tensors).asnumpy(),
        "oneDNN, float32": lambda: product(library.dnnl_sgemm, a, b),
        "oneDNN, bfloat16": lambda: product(library.dnnl_gemm_bf16bf16f32, a16, b16),
        "rounding of a and b": lambda: (to_bfloat16(a), to_bfloat16(b)),
        "ops.Custom, bfloat16": lambda: in_graph(*tensors).asnumpy(),
    }


def compare(library: ctypes.CDLL, shape: tuple[int, int, int], rounds: int) -> None:
    """Print a line a contender: time, speed, largest error over largest value."""
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((rows, inner), np.float32)
    b = rng.standard_normal((columns, inner), np.float32)
    runs = contenders(library, a, b)
    results = {name: run() for name, run in runs.items()}
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    exact = results["ops.MatMul, float32"]
    print(f"\n{rows} x {inner} x {columns}, {rounds} rounds")
    for name, seconds in times.items():
        line = f"  {name:22s}{median(seconds) * 1e3:9.2f} ms"
        if not isinstance(results[name], tuple):
            error = np.abs(results[name] - exact).max() / np.abs(exact).max()
            speed = 2 * rows * inner * columns / median(seconds) / 1e9
            line += f"{speed:8,.0f} GFLOP/s   error {error:.0e}"
        print(line, flush=True)


def main() -> None:
    """Compare on each shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--shape", nargs=3, type=int, metavar=("M", "K", "N"), help="only this one")
    args = parser.parse_args()
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_device("CPU")
    flags = Path("/proc/cpuinfo").read_text().split()
    print("  ".join(f"{flag}: {flag in flags}" for flag in ("avx512_bf16", "amx_bf16")))
    library = load_library()
    for shape in [tuple(args.shape)] if args.shape else SHAPES:
        compare(library, shape, args.rounds)


if __name__ == "__main__":
    main()
