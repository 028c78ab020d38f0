"""Folders of machine code are named after what it follows from."""

import os

from common.machine_code import source_digest


def test_machine_code_is_not_shared_by_sources_that_numba_compiles_anew(tmp_path):
    one, moved = tmp_path / "one.py", tmp_path / "moved.py"
    for path in (one, moved):
        path.write_text("x = 1\n", encoding="utf-8")
    before = source_digest([one])
    assert before == source_digest([one]) != source_digest([moved])
    os.utime(one, (1, 1))
    assert before != source_digest([one])


def test_machine_code_is_not_shared_by_kernels_that_call_other_versions(tmp_path):
    kernel, called = tmp_path / "kernel.py", tmp_path / "called.py"
    for path in (kernel, called):
        path.write_text("x = 1\n", encoding="utf-8")
    before, place = source_digest([kernel, called], "znver5"), called.stat()
    assert before != source_digest([kernel, called], "haswell")
    called.write_text("x = 2\n", encoding="utf-8")
    os.utime(called, ns=(place.st_atime_ns, place.st_mtime_ns))
    assert before != source_digest([kernel, called], "znver5")
