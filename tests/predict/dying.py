"""A process that is killed at some moment, played within the process that tests it."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pocketbert.predict import store
from pocketbert.predict.computing import Computer


class Killed(BaseException):
    """The end of the process."""


class Death:
    """Counts what is done to the disk, and dies at a moment: from then on nothing is done any more.

    Args:
        moment: number of the action that is not done; None to live.
    """

    def __init__(self, moment: int | None = None) -> None:
        self.moment = moment
        self.actions = 0

    def act(self) -> None:
        """An action is about to be done."""
        self.actions += 1
        if self.moment is not None and self.actions > self.moment:
            raise Killed

    @contextmanager
    def watching(self) -> Iterator["Death"]:
        """Count inside the block; whoever dies there is gone quietly."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "unlink", "mkdir"):
                patch.setattr(Path, name, self._counted(getattr(Path, name)))
            patch.setattr(os, "fsync", self._fsync)
            patch.setattr(store, "shutil", SimpleNamespace(rmtree=self._rmtree))
            with suppress(Killed):
                yield self

    def _counted(self, action: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.act()
            return action(*args, **kwargs)

        return counted

    def _fsync(self, handle: int) -> None:
        """Half of a file is on the disk at the moment of death."""
        size = os.fstat(handle).st_size
        if self.moment is not None and self.actions >= self.moment and stat.S_ISREG(os.fstat(handle).st_mode):
            os.ftruncate(handle, size // 2)
        self.act()

    def _rmtree(self, folder: Path, ignore_errors: bool = False) -> None:
        """A file at a time, as the system does it."""
        for path in sorted(folder.rglob("*"), reverse=True):
            self._remove(path)
        if folder.exists():
            self._remove(folder)

    def _remove(self, path: Path) -> None:
        if path.is_dir():
            self.act()
            path.rmdir()
        else:
            path.unlink()  # which counts


@contextmanager
def killed_after(parts: int) -> Iterator[None]:
    """A run inside the block is killed when it has committed so many parts."""
    commit, committed = Computer._commit, iter(range(parts))

    def counted(self: Computer, *args: Any) -> None:
        if next(committed, None) is None:
            raise Killed
        commit(self, *args)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Computer, "_commit", counted)
        yield
