"""The kernels by name: compiled or loaded, and callable from MindSpore's graph."""

import contextlib
import functools
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from llvmlite import binding
from mindspore import ops
from numba import carray, cfunc, types

from model.native import (
    attention,
    embedding,
    gate,
    linear,
    loss,
    loss_half,
    norm,
    optimizer,
    ranks,
    rounding,
)
from model.native.cache import checksums, executable_file, kept, user_folder
from model.native.calls import (
    ADDRESSES,
    CONTEXT_NUMBERS,
    COUNT,
    DRIVER,
    FUNCTION_NUMBERS,
    FUNCTIONS,
    KERNEL,
    PARTS,
    RUNNING,
    SHAPES,
    Numbers,
    address_of,
    call_body,
    call_driver,
    launch,
    number_pointer,
)
from model.native.processor import use_wide_vectors
from model.native.rounding import round_operands
from model.native.stub import shared_object
from model.native.symbols import addresses

BODY = types.void(Numbers, types.int64, types.int64)
DRIVE = types.void(Numbers)
ENTRY = types.int32(
    types.int32, types.voidptr, types.voidptr, types.voidptr, types.voidptr, types.voidptr,
    types.voidptr,
)  # fmt: skip
HALF_NAME = "_bfloat16"
"""in the names of kernels that round the operands of their products first"""
SHARING = 2, 3
"""so many linear layers have the same input: gate and up; query, key and value"""
REPO = Path(__file__).resolve().parents[2]
COPY_FUNCTOR = 2
"""The operation of a std::function's manager that copies it."""


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Kernel:
    """A kernel: the stages of its work, and how it is cut."""

    stages: tuple
    driver: object = None
    flag: int = 0
    parts_a_core: int = 4
    """parts of each stage for each processor; products pay for each part, other work does not"""


def _kernels() -> dict[str, Kernel]:
    """All kernels by the names that operators call them by."""
    attention_parts = {"parts_a_core": 8}
    products = {"parts_a_core": 1}
    named = {
        "gate_forward": Kernel((gate.forward,)),
        "gate_backward": Kernel((gate.backward,)),
        "drop": Kernel((embedding.drop,)),
        "scatter": Kernel((embedding.scatter,)),
        "scatter_accumulate": Kernel((embedding.scatter,), flag=embedding.TO_BUFFER),
        "square_norm": Kernel((optimizer.square_norm_part,), optimizer.square_norm),
        "clear": Kernel((optimizer.clear,)),
        "take": Kernel((ranks.take,)),
        "put": Kernel((ranks.put,)),
        "add_to_buffer": Kernel((optimizer.add_to_buffer,)),
        "collect": Kernel((ranks.collect,)),
        "spread": Kernel((ranks.spread,)),
        "sum_own": Kernel((ranks.sum_own,)),
        "fetch": Kernel((ranks.fetch,)),
        "adamw": Kernel((optimizer.adamw,)),
        "descend": Kernel((optimizer.descend,)),
        "momentum": Kernel((optimizer.momentum,)),
        "muon": Kernel((optimizer.muon_matrix,), optimizer.muon),
    }
    for work, operands in (
        (linear.forward, 2), (linear.backward, 3), (linear.accumulate, 3), (linear.frozen, 2)
    ):  # fmt: skip
        for bias, name in ((0, "linear"), (linear.WITH_BIAS, "linear_bias")):
            named[f"{name}_{work.__name__}"] = Kernel((work,), flag=bias, **products)
            rounded, stages = bias | operands * rounding.ROUNDED, (round_operands, work)
            named[f"{name}{HALF_NAME}_{work.__name__}"] = Kernel(
                stages, rounding.round_first, rounded, **products
            )
    for n in SHARING:
        for work, operands, name in (
            (linear.forward_shared, n + 1, "forward"),
            (linear.accumulate_shared, 2 * n + 1, "accumulate"),
        ):
            rounded = operands * rounding.ROUNDED
            named[f"linear_{name}_{n}"] = Kernel((work,), **products)
            named[f"linear{HALF_NAME}_{name}_{n}"] = Kernel(
                (round_operands, work), rounding.round_first, rounded, **products
            )
    for residual, name in ((0, "norm"), (norm.WITH_RESIDUAL, "add_norm")):
        stages = (norm.backward_rows,)
        named[f"{name}_forward"] = Kernel((norm.forward,), flag=residual)
        named[f"{name}_backward"] = Kernel(stages, norm.backward, flag=residual)
        named[f"{name}_accumulate"] = Kernel(stages, norm.backward, flag=residual | norm.TO_BUFFER)
    for documents, name in ((0, "attention"), (attention.DOCUMENTS, "document_attention")):
        for work in (attention.forward, attention.backward):
            named[f"{name}_{work.__name__}"] = Kernel((work,), flag=documents, **attention_parts)
    stages = (loss.rows_of_chunk, loss.table_of_chunk)
    half_stages = (loss_half.logits, loss_half.rows_of_chunk, loss_half.gradients, round_operands)
    for flag, name in (
        (0, "loss"),
        (loss.GRADIENT, "loss_gradient"),
        (loss.GRADIENT | loss.TO_BUFFER, "loss_accumulate"),
        (loss.GRADIENT | loss.FROZEN, "loss_frozen"),
    ):
        named[name] = Kernel(stages, loss.loss, flag, **products)
        rounded = flag | rounding.BEFORE_LAST | 2 * rounding.ROUNDED
        named[f"{name}{HALF_NAME}"] = Kernel(half_stages, loss_half.loss, rounded, **products)
    return named


def entry(count, tensors, dimensions, shapes, types_, kernel, extra):
    """What every name in the stub calls: it starts the kernel that `kernel` describes."""
    numbers = np.zeros(CONTEXT_NUMBERS, np.int64)
    numbers[COUNT], numbers[ADDRESSES] = count, address_of(tensors)
    numbers[SHAPES], numbers[KERNEL] = address_of(shapes), address_of(kernel)
    context = number_pointer(numbers.ctypes.data)
    description = number_pointer(numbers[KERNEL])
    if description[DRIVER]:
        call_driver(description[DRIVER], (numbers.ctypes.data,))
    else:
        launch(context, 0, description[PARTS])
    return np.int32(numbers[COUNT] - count)  # 0; and the numbers live until here


def invoke(functor, content, number, left, right):
    """A std::function's invoker: calls the body whose address it holds with (context, part)."""
    context = number_pointer(number_pointer(address_of(content))[0])
    body = number_pointer(address_of(functor))[0]
    call_body(body, (address_of(context), np.int64(carray(number, (1,))[0]), context[RUNNING]))
    return np.int32(0)


def manage(target, source, operation):
    """A std::function's manager: copies the two numbers that are its own."""
    if operation == COPY_FUNCTOR:
        target[0] = source[0]
        target[1] = source[1]
    return False


class MachineCode:
    """The machine code of all kernels in this process, from Numba's cache or compiled into it."""

    def __init__(self):
        for name, place in addresses().items():
            binding.add_symbol(name, place)
        self._functions = {}
        self.entry = self._address(entry, ENTRY)
        self.descriptions = {name: self._describe(kernel) for name, kernel in _kernels().items()}

    def _address(self, function, signature) -> int:
        """Where the machine code of a function is."""
        if function not in self._functions:
            self._functions[function] = cfunc(signature, cache=True)(function)
        return self._functions[function].address

    def _describe(self, kernel: Kernel) -> np.ndarray:
        """The numbers that `entry` finds its kernel by; see model/native/calls.py."""
        parts = kernel.parts_a_core * cores()
        numbers = np.zeros(FUNCTIONS + FUNCTION_NUMBERS * len(kernel.stages), np.int64)
        numbers[[0, 1]] = parts, kernel.flag
        if kernel.driver:
            numbers[DRIVER] = self._address(kernel.driver, DRIVE)
        for i, stage in enumerate(kernel.stages):
            begin = FUNCTIONS + FUNCTION_NUMBERS * i
            numbers[begin] = self._address(stage, BODY)
            numbers[begin + 2] = self._address(manage, MANAGER)
            numbers[begin + 3] = self._address(invoke, INVOKER)
        return numbers


class Library:
    """The kernels of this process."""

    def __init__(self, folder: Path):
        """Load the machine code from a folder; if it is empty, it is compiled into there first.

        Raises:
            OSError: this MindSpore lacks a function, or no folder allows execution.
        """
        with kept(folder) as cache:
            if not checksums(cache):
                compile_elsewhere(cache)
            with _numba_cache(cache):
                self._code = MachineCode()  # the stub holds addresses in it
        places = {name: numbers.ctypes.data for name, numbers in self._code.descriptions.items()}
        stub = shared_object(self._code.entry, places, platform.machine())
        folders = [Path(tempfile.gettempdir()), folder, Path("/dev/shm")]
        self.path, self._keeper = executable_file(stub, folders)

    def operator(self, name: str, shapes, dtypes) -> ops.Custom:
        """The operator of a kernel; `shapes` maps its inputs' shapes to those of its outputs."""
        return ops.Custom(f"{self.path}:{name}", shapes, dtypes, "aot")


MANAGER = types.boolean(Numbers, Numbers, types.int32)
INVOKER = types.int32(
    types.voidptr, types.voidptr, types.CPointer(types.int32), types.voidptr, types.voidptr
)


@contextlib.contextmanager
def _numba_cache(folder: Path) -> Iterator[None]:
    """Numba keeps what it compiles within the block in a folder."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def compile_elsewhere(folder: Path) -> None:
    """Compile the kernels into a folder, in a process that ends with that.

    Where code is compiled, the linker takes the functions that kernels share as they were compiled
    by themselves; where it is loaded, as they were optimised within a kernel, which adds up in
    another order. So all processes load, and a run that is started again has the same numbers to
    the last bit. If the process fails, this one compiles for itself.
    """
    command = [sys.executable, "-c", f"import {__name__} as m; m.compile_into({str(folder)!r})"]
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.run(command, cwd=REPO, check=False, **silent)


def compile_into(folder: str) -> None:
    """Compile the kernels, as `compile_elsewhere` has it done."""
    use_wide_vectors()
    with _numba_cache(Path(folder)):
        MachineCode()


@functools.cache
def load() -> Library:
    """The kernels of this process, compiled at the first call on a machine.

    Raises:
        OSError: as `Library` does.
    """
    use_wide_vectors()
    return Library(user_folder())
