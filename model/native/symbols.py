"""What the kernels call of MindSpore's libraries, and whether this machine has it all."""

import ctypes
import functools
import platform
from pathlib import Path

import mindspore as ms

from model.native.stub import MACHINES

SGEMM, BGEMM = "babyllama_sgemm", "babyllama_bgemm"
LAUNCH, POOL = "babyllama_launch", "babyllama_pool"
"""The names under which the kernels call these functions."""
FUNCTIONS = {
    SGEMM: ("libdnnl.so.3", "dnnl_sgemm"),
    BGEMM: ("libdnnl.so.3", "dnnl_gemm_bf16bf16f32"),
    LAUNCH: (
        "libmindspore_core.so",
        "_ZN9mindspore10ThreadPool14ParallelLaunchERKSt8functionIFiPviffEES2_i",
    ),
    POOL: (
        "plugin/libmindspore_ops_cpu.so",
        "_ZN9mindspore6kernel26GetActorMgrInnerThreadPoolEv",
    ),
}
"""Library and symbol of each: oneDNN's products, and MindSpore's own threads. The latter two are no
part of its interface, so whether they are there is looked at in every process."""
BFLOAT16_FEATURES = ("avx512bf16", "amx-bf16")
"""LLVM's names for what multiplies bfloat16 numbers; without it oneDNN is slow, or refuses."""


@functools.cache
def addresses() -> dict[str, int]:
    """Where the functions lie in this process, by the kernels' names for them.

    Raises:
        OSError: one of them is not in this MindSpore; the message says which.
    """
    folder, found = Path(ms.__file__).parent / "lib", {}
    for name, (library, symbol) in FUNCTIONS.items():
        try:
            function = getattr(ctypes.CDLL(str(folder / library)), symbol)
        except (OSError, AttributeError) as error:
            raise OSError(
                f"this MindSpore ({ms.__version__}) has no {symbol} in {library}"
            ) from error
        found[name] = ctypes.cast(function, ctypes.c_void_p).value
    return found


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for products of bfloat16 numbers."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return any(features.get(name) for name in BFLOAT16_FEATURES)


def obstacle(compute_dtype) -> str | None:
    """Why this process cannot use the kernels for products in a type; None: it can, they are there.

    They are loaded or compiled by this.
    """
    target = ms.get_context("device_target")
    if target != "CPU":
        return f"the device is {target}"
    if compute_dtype not in (ms.float32, ms.bfloat16):
        return f"products are in {str(compute_dtype).lower()}"
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        return f"this machine is {platform.system()} on {platform.machine()}"
    if compute_dtype == ms.bfloat16 and not multiplies_bfloat16():
        return "this processor has no instructions for products in bfloat16"
    try:
        from model.native.library import load

        load()
    except OSError as error:
        return str(error)
    return None
