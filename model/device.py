"""Which kernels the network is built for: those of the CPU, or those of an accelerator."""

import mindspore as ms


def on_cpu() -> bool:
    """Whether the device target is the CPU, whose kernels want other forms than an NPU's."""
    return ms.get_context("device_target") == "CPU"


def on_ascend() -> bool:
    """Whether the device target is an Ascend NPU, which has fused kernels of its own."""
    return ms.get_context("device_target") == "Ascend"
