"""Memory that a process has freed and the C library keeps."""

import ctypes
import platform


def return_freed_memory() -> None:
    """Give it back to the system, where the C library can: glibc's `malloc_trim`.

    glibc keeps what was freed between blocks that are in use, for later blocks of their size.
    MindSpore takes a graph's tensors elsewhere, so what compiling the graph took would stay beside
    them.
    """
    if platform.system() == "Linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:
            trim(0)
