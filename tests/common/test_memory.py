"""Memory that was freed goes back to the system."""

import ctypes
import platform

import pytest

from common.memory import return_freed_memory
from tests.resident import resident_bytes

BLOCK, BLOCKS = 16 << 10, 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can")
def test_what_is_freed_between_blocks_in_use_goes_back():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [libc.malloc(BLOCK) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:
        libc.free(block)
    before = resident_bytes()
    return_freed_memory()
    assert before - resident_bytes() > BLOCKS * BLOCK * 0.9
    libc.free(blocks[-1])


def test_where_the_c_library_cannot_nothing_is_done(monkeypatch):
    monkeypatch.setattr("common.memory.ctypes.CDLL", lambda name: object())
    return_freed_memory()
