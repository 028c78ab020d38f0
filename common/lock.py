"""One process at a time in a folder."""

import contextlib
import fcntl
from collections.abc import Iterator

from common.errors import UserError
from common.files import PathLike


@contextlib.contextmanager
def exclusive(path: PathLike, taken: str) -> Iterator[None]:
    """Hold the lock file `path`, in a folder that exists, until the block or the process ends.

    Where the file system knows no locks, nothing is held.

    Raises:
        UserError: another process holds it; `taken` is the message.
    """
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(taken) from error
        except OSError:
            pass  # some network file systems
        yield
