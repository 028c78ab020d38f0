"""Environment variables that keep the frameworks quiet and out of the working and home folders."""

import os
from pathlib import Path


def prepare_environment(run_dir: Path, serves: bool = False) -> None:
    """Must run before mindspore is first imported; what the user has set stays.

    With `serves`, threads that wait for the others of a kernel sleep and do not spin: a server
    shares its computer, and spinning beside other processes makes a step take a hundred times as
    long.
    """
    if serves:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    scratch = run_dir / "framework"
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", str(scratch))
    os.environ.setdefault("LOCAL_DEFAULT_PATH", str(scratch))
    os.environ.setdefault("MPLCONFIGDIR", str(scratch))
    # MindSpore's generated protobuf code wants it, and it counts from the first protobuf import on.
    os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
