"""Where the network runs: device target, compute type, and how fast its matrix products are."""

import time

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from mindspore import dtype as mstype

from common.errors import UserError
from model.device import on_cpu
from model.linear import product
from model.native.symbols import obstacle

TARGETS = ("Ascend", "GPU", "CPU")
DEFAULT_DTYPE = {"Ascend": "bfloat16", "GPU": "float16", "CPU": "float32"}


def select_device(name: str = "auto") -> str:
    """Set graph mode and the device target; returns CPU, GPU or Ascend.

    Raises:
        UserError: this machine, or this build of MindSpore, has no such device.
    """
    found = [target for target in TARGETS if ms.hal.is_available(target)]
    target = found[0] if name == "auto" else name
    if target not in found:
        raise UserError(
            f"train.device is {name}, but MindSpore finds only {', '.join(found)} here; "
            "set train.device to one of these or repair the driver (docs/devices.md)"
        )
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_device(target)
    return target


def explain_device(name: str, target: str) -> str:
    """Why `select_device(name)` chose the target."""
    if name != "auto":
        return "as train.device says"
    missing = [f"no {other}" for other in TARGETS[: TARGETS.index(target)]]
    return f"auto: {' and '.join(missing) or 'one was'} found"


def select_dtype(name: str, target: str):
    """The mindspore type of the matrix products for a recipe's `train.compute_dtype`."""
    return getattr(mstype, DEFAULT_DTYPE[target] if name == "auto" else name)


def select_kernels(name: str, dtype, reason: str | None = None) -> tuple[bool, str]:
    """Whether the network takes the native kernels, and what the log says of it.

    Args:
        name: the recipe's `train.kernels`.
        dtype: mindspore type of the matrix products.
        reason: why they cannot be used, if the caller knows one.

    Raises:
        UserError: the recipe asks for native kernels, and something is in the way; or for bfloat16
            on the CPU, which MindSpore's own kernels cannot multiply.
    """
    reason = "train.kernels is plain" if name == "plain" else reason or obstacle(dtype)
    if reason and dtype == mstype.bfloat16 and ms.get_context("device_target") == "CPU":
        raise UserError(
            "train.compute_dtype is bfloat16, which on the CPU only the native kernels multiply, "
            f"but {reason}; use float32 (docs/performance.md)"
        )
    if name == "plain":
        return False, "plain kernels (as train.kernels says)"
    if reason is None:
        return True, "native kernels"
    if name == "native":
        raise UserError(f"train.kernels is native, but {reason}; set it to auto or plain")
    return False, f"plain kernels (auto: {reason})"


class _Product(nn.Cell):
    """One matrix product, of which only a number is given back: copies take time too."""

    def __init__(self, dtype, native: bool):
        super().__init__()
        self.product = product(dtype, bias=False, native=native)

    def construct(self, a, b):
        return self.product(a, b)[:1, :1].astype(mstype.float32)


def measure_peak_flops(
    dtype, native: bool = False, size: int | None = None, seconds: float = 0.6
) -> float:
    """Operations a second of the fastest (size, size) matrix product, the peak behind MFU.

    Products are short and repeated for so many seconds, at least eight times, so that some meet a
    moment in which no other process takes a core from them.

    Args:
        dtype: mindspore type of the operands.
        native: multiply as the native kernels do, on all cores.
        size: rows and columns; None: 1,024 on the CPU, 2,048 elsewhere.
        seconds: how long to try.
    """
    size = size or (1024 if on_cpu() else 2048)
    a = Tensor(np.ones((size, size), np.float32))
    a = a if native else a.astype(dtype)  # the kernels round by themselves
    multiply = _Product(dtype, native)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 8 or time.perf_counter() < end:
        start = time.perf_counter()
        multiply(a, a).asnumpy()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)
