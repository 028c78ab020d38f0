"""Which kernels the network is built for: those of the CPU, or those of an accelerator."""

import mindspore as ms


def on_cpu() -> bool:
    """Whether the device target is the CPU, whose kernels want other forms than an NPU's."""
    return ms.get_context("device_target") == "CPU"
