"""Environment variables that keep the frameworks quiet and out of the working and home folders."""

import os
from pathlib import Path


def prepare_environment(run_dir: Path) -> None:
    """Must run before mindspore is first imported; what the user has set stays."""
    scratch = run_dir / "framework"
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", str(scratch))
    os.environ.setdefault("LOCAL_DEFAULT_PATH", str(scratch))
    os.environ.setdefault("MPLCONFIGDIR", str(scratch))
    # MindSpore's generated protobuf code wants it, and it counts from the first protobuf import on.
    os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
