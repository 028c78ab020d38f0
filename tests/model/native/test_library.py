"""What makes kernels callable: stub, cache, threads, and the reasons why they may not be."""

import ctypes
import json
import os
import platform

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from common.errors import UserError
from model.native import cache, gate, library, symbols
from model.native.cells import Gate
from model.native.stub import shared_object
from runs.device import select_kernels
from tests.model.native.cases import normal

pytestmark = pytest.mark.usefixtures("graph_mode")

SIXTH = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_int, *[ctypes.c_void_p] * 4, ctypes.c_int64, ctypes.c_void_p
)


def test_a_stub_hands_its_number_over(tmp_path):
    """Two names, one function: each gives its own number as the sixth argument."""
    entry = SIXTH(lambda count, a, b, c, d, kernel, extra: 100 * count + kernel)
    address = ctypes.cast(entry, ctypes.c_void_p).value
    content = shared_object(address, {"one": 1, "another": 2}, platform.machine())
    path, _keeper = cache.executable_file(content, [tmp_path / "missing", tmp_path])
    library = ctypes.CDLL(str(path))
    for name, number in (("one", 1), ("another", 2)):
        function = SIXTH((name, library))
        assert function(7, None, None, None, None, 0, None) == 700 + number
    with pytest.raises(AttributeError):
        getattr(library, "third")  # noqa: B009


def test_no_folder_that_allows_execution(tmp_path):
    with pytest.raises(OSError, match="no folder holds a library.*missing"):
        cache.executable_file(b"", [tmp_path / "missing"])
    with pytest.raises(OSError, match="no folder holds a library"):
        cache.executable_file(b"no library at all", [tmp_path])


def test_a_damaged_cache_is_emptied(tmp_path):
    folder = tmp_path / "a" / "kernels"
    with cache.kept(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "code").write_bytes(b"machine code")
    with cache.kept(folder):
        assert (folder / "deep" / "code").read_bytes() == b"machine code"
    (folder / "deep" / "code").write_bytes(b"machine c0de")
    with cache.kept(folder):
        assert not (folder / "deep").exists()
    assert json.loads((folder / cache.CHECKSUMS).read_text()) == {}


def test_a_cache_that_was_left_half_written_is_emptied(tmp_path):
    with pytest.raises(RuntimeError), cache.kept(tmp_path):
        (tmp_path / "code").write_bytes(b"half")
        raise RuntimeError
    with cache.kept(tmp_path):
        assert not (tmp_path / "code").exists()


def test_a_damaged_cache_is_built_again(tmp_path, monkeypatch):
    few = {"gate_forward": library.Kernel((gate.forward,))}
    monkeypatch.setattr(library, "_kernels", lambda: few)
    monkeypatch.setattr(library, "compile_elsewhere", lambda folder: None)
    library.Library(tmp_path)
    code = sorted(tmp_path.rglob("*.nbc"))
    assert len(code) >= 4, "entry, manager, invoker and the kernel"
    for path in code:
        path.write_bytes(b"damaged")
    rebuilt = library.Library(tmp_path)
    again = rebuilt.operator("gate_forward", lambda a, b: a, ms.float32)
    a, b = normal(8, 32), normal(8, 32, seed=1)
    np.testing.assert_allclose(
        again(Tensor(a), Tensor(b)).asnumpy(), a * b / (1 + np.exp(-a)), rtol=1e-5, atol=1e-6
    )
    assert sorted(tmp_path.rglob("*.nbc")) == code
    assert all(path.stat().st_size > 1000 for path in code)


@pytest.mark.slow
def test_every_process_loads_what_another_compiled(tmp_path):
    """Code that is compiled where it runs adds up in another order than code that is loaded."""
    found = library.Library(tmp_path)._code._functions.values()
    assert len(found) > 20 and all(function.cache_hits == 1 for function in found)


def test_a_folder_that_cannot_be_made_is_replaced_for_the_time_being(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with cache.kept(tmp_path / "file" / "kernels") as folder:
        assert folder.is_dir() and tmp_path not in folder.parents
    assert not folder.exists()


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path in cache.user_folder().parents


def test_why_not(monkeypatch):
    assert symbols.obstacle(ms.float32) is None
    assert select_kernels("auto", ms.float32) == (True, "native kernels")
    assert select_kernels("plain", ms.float32)[0] is False
    assert "products are in float16" in symbols.obstacle(ms.float16)
    native, words = select_kernels("auto", ms.float16)
    assert not native and words == "plain kernels (auto: products are in float16)"
    known = select_kernels("auto", ms.float32, "train.recompute is on")
    assert known == (False, "plain kernels (auto: train.recompute is on)")
    with pytest.raises(UserError, match="train.kernels is native, but products are in float16"):
        select_kernels("native", ms.float16)
    monkeypatch.setattr("model.native.symbols.platform.machine", lambda: "riscv64")
    assert symbols.obstacle(ms.float32) == "this machine is Linux on riscv64"


def test_a_missing_symbol_is_named(monkeypatch):
    symbols.addresses.cache_clear()
    monkeypatch.setitem(symbols.FUNCTIONS, symbols.POOL, ("libmindspore_core.so", "gone"))
    with pytest.raises(OSError, match="has no gone in libmindspore_core.so"):
        symbols.addresses()
    symbols.addresses.cache_clear()


def test_threads_start_and_stop_a_thousand_times():
    gate, a, b = Gate(), normal(64, 48), normal(64, 48, seed=1)
    inputs, first = (Tensor(a), Tensor(b)), gate(Tensor(a), Tensor(b)).asnumpy()
    for _ in range(1000):
        last = gate(*inputs)
    assert np.array_equal(last.asnumpy(), first)


def test_a_forked_process_ends_and_the_kernels_go_on():
    gate, inputs = Gate(), (Tensor(normal(64, 48)), Tensor(normal(64, 48, seed=1)))
    before = gate(*inputs).asnumpy()
    child = os.fork()
    if child == 0:
        os._exit(int(np.dot(np.ones(100), np.ones(100)) != 100))
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(gate(*inputs).asnumpy(), before)


def test_a_number_that_is_none_stays_one():
    a, b = normal(8, 32), normal(8, 32, seed=1)
    a[3, 5] = np.nan
    out = Gate()(Tensor(a), Tensor(b)).asnumpy()
    assert np.isnan(out[3, 5]) and np.isnan(out).sum() == 1
