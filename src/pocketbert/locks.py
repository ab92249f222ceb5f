"""A folder to oneself: locks that the system forgets when their process ends, however it ends."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pocketbert.errors import PocketBertError

NAME = "lock"
_UNKNOWN = (errno.ENOLCK, errno.ENOTSUP)
"""What disks say that know no locks, as some of a network."""


class FolderLock:
    """Keeps other processes out of a folder; on disks that know no locks it keeps nobody out.

    Args:
        folder: made when the lock is taken, where it is missing.

    Attributes:
        path: of the file that is locked.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        # One in a process: what goes on in the process that was stopped has the folder already.
        self._lock = FileLock(self.path, is_singleton=True)

    def take(self, wait: bool = False) -> bool:
        """Whether this process has the folder, from now on.

        Args:
            wait: for another one that has it, however long.
        """
        if self._lock.is_locked:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
        return True

    @contextmanager
    def held(self, otherwise: str) -> Iterator[None]:
        """Have it inside the block.

        Args:
            otherwise: what a person is told where another process has it.

        Raises:
            PocketBertError: another process has it.
        """
        if not self.take():
            raise PocketBertError(otherwise)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Let others have it."""
        self._lock.release(force=True)
