"""For which registers Numba compiles."""

import functools

import numba
from llvmlite import binding


@functools.cache
def use_wide_vectors() -> None:
    """Let Numba use all of a 512-bit vector register; by itself LLVM halves them on AVX-512."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f") and numba.config.CPU_FEATURES is None:
        numba.config.CPU_NAME = binding.get_host_cpu_name()
        numba.config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"
