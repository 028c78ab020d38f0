"""Devices and compute types that do not exist here are refused in a sentence."""

import pytest
from mindspore import dtype as mstype

from common.errors import UserError
from runs.device import measure_peak_flops, select_device, select_dtype, select_kernels


def test_the_cpu_is_what_is_found(graph_mode):
    assert select_device("auto") == "CPU"
    with pytest.raises(UserError, match="train.device is Ascend, but MindSpore finds only CPU"):
        select_device("Ascend")


def test_each_target_has_its_own_default_type():
    assert select_dtype("auto", "CPU") == mstype.float32
    assert select_dtype("auto", "GPU") == mstype.float16
    assert select_dtype("auto", "Ascend") == mstype.bfloat16
    assert select_dtype("float16", "CPU") == mstype.float16


def test_bfloat16_on_the_cpu_needs_the_native_kernels_and_a_processor(graph_mode, monkeypatch):
    dtype = select_dtype("bfloat16", "CPU")
    with pytest.raises(UserError, match="bfloat16.* but train.kernels is plain; use float32"):
        select_kernels("plain", dtype)
    with pytest.raises(UserError, match="bfloat16.* but train.recompute is on; use float32"):
        select_kernels("auto", dtype, "train.recompute is on")
    monkeypatch.setattr("model.native.symbols.BFLOAT16_FEATURES", ())
    with pytest.raises(UserError, match="bfloat16.* but this processor has no instructions"):
        select_kernels("auto", dtype)


def test_the_peak_is_a_speed(graph_mode):
    for native in (False, True):
        assert measure_peak_flops(mstype.float32, native, size=256, seconds=0.01) > 1e8
