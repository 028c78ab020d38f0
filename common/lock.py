"""One process at a time in a folder."""

import contextlib
from collections.abc import Iterator

from filelock import FileLock, Timeout

from common.errors import UserError
from common.files import PathLike


@contextlib.contextmanager
def exclusive(path: PathLike, taken: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path`, in a folder that exists, until the block or the process ends.

    Where the file system knows no locks, nothing is held.

    Raises:
        UserError: another process still holds it after `patience` seconds; `taken` is the message.
    """
    try:
        held = FileLock(path).acquire(timeout=patience)
    except Timeout as error:
        raise UserError(taken) from error
    except OSError:  # some network file systems
        held = contextlib.nullcontext()
    with held:
        yield
