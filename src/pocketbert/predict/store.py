"""Where parts and output lie: each file is whole or not there, and a rename, or a put, is what makes it be there."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from pocketbert.errors import PocketBertError
from pocketbert.locks import FolderLock
from pocketbert.predict.plan import NAME as PLAN
from pocketbert.predict.remote import file_system, is_url

MANIFEST = ".manifest.json"
FAILED = ".failed.jsonl"
"""Endings of what lies beside the output."""

_WHOLE = "whole"
"""The folder that becomes the output, where that is one."""


class Store(Protocol):
    """The work folder of an output, and the output."""

    def names(self) -> set[str]:
        """Of the files in the work folder."""
        ...

    def open(self, name: str) -> Any:
        """A file of the work folder, to be read and closed."""
        ...

    def commit(self, name: str, content: bytes) -> None:
        """Put a file into the work folder.

        Raises:
            PocketBertError: there is no room for it, or no right to.
        """
        ...

    def publish(self, ending: str, write: Callable[[BinaryIO], object]) -> None:
        """Put the output there, or with an ending what lies beside it.

        Raises:
            PocketBertError: there is no room for it, or no right to.
        """
        ...

    def publish_folder(self, names: Sequence[str]) -> None:
        """Make some files of the work folder the output."""
        ...

    def read(self, ending: str) -> bytes | None:
        """What lies beside the output, or None."""
        ...

    def discard(self, ending: str) -> None:
        """Take away what lies beside the output, if anything does."""
        ...

    def exists(self) -> bool:
        """Whether there is an output."""
        ...

    def clear(self) -> None:
        """Take the work folder away."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Keep other runs out, where that can be done.

        Raises:
            PocketBertError: another run writes the same output.
        """
        ...


def open_store(output: str) -> Store:
    """The store of an output; one on this machine where a URL says ``file:``.

    Raises:
        PocketBertError: there is no such place.
    """
    if not is_url(output):
        return LocalStore(_named_place(output, output))
    system, path = file_system(output)
    protocols = [system.protocol] if isinstance(system.protocol, str) else system.protocol
    return LocalStore(_named_place(output, path)) if "file" in protocols else RemoteStore(output, system, path)


def _named_place(output: str, path: str) -> Path:
    """A path that ends in a name: only beside such a one is there room for parts and for the manifest."""
    place = Path(path)
    if place.name in ("", ".."):
        raise PocketBertError(f"{output!r}: is no name for an output; name a file or a new folder")
    return place


class LocalStore:
    """On this machine, or on a disk that machines share; see :class:`Store`.

    Args:
        output: the file or folder to make.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.work = output.parent / f".{output.name}.parts"

    def names(self) -> set[str]:
        """See :class:`Store`."""
        places = (self.work, self.work / _WHOLE, self.output)
        return {path.name for place in places if place.is_dir() for path in place.iterdir()}

    def open(self, name: str) -> BinaryIO:
        """See :class:`Store`."""
        return (self.work / name).open("rb")

    def commit(self, name: str, content: bytes) -> None:
        """See :class:`Store`."""
        self._write(self.work / name, lambda file: file.write(content))

    def publish(self, ending: str, write: Callable[[BinaryIO], object]) -> None:
        """See :class:`Store`."""
        self._write(self._beside(ending), write)

    def publish_folder(self, names: Sequence[str]) -> None:
        """See :class:`Store`: one rename makes the folder be there, whole."""
        if self.output.exists():
            return
        whole = self.work / _WHOLE
        whole.mkdir(exist_ok=True)
        for name in names:
            if not (whole / name).exists():
                (self.work / name).replace(whole / name)
        _keep_names(whole)
        whole.replace(self.output)
        _keep_names(self.output.parent)

    def read(self, ending: str) -> bytes | None:
        """See :class:`Store`."""
        path = self._beside(ending)
        return path.read_bytes() if path.is_file() else None

    def discard(self, ending: str) -> None:
        """See :class:`Store`."""
        with _explained(self.output):
            self._beside(ending).unlink(missing_ok=True)

    def exists(self) -> bool:
        """See :class:`Store`."""
        return self.output.exists()

    def clear(self) -> None:
        """See :class:`Store`."""
        shutil.rmtree(self.work, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the work folder; the system forgets it when this process ends, however it ends.

        Raises:
            PocketBertError: another run writes the same output.
        """
        with self._held():
            for path in self.work.glob(".*.tmp"):  # what a killed run left half-written
                path.unlink(missing_ok=True)
            try:
                yield
            finally:
                if PLAN not in self.names():
                    self.clear()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The work folder, made where it is missing, and its lock."""
        lock = FolderLock(self.work)
        with _explained(self.output):
            if not lock.take():
                raise PocketBertError(f"{self.output}: another run writes it just now; wait for its end")
        try:
            yield
        finally:
            lock.release()
            with suppress(OSError):
                self.work.rmdir()  # Windows removes no file that is open, as that of the lock was until now

    def _beside(self, ending: str) -> Path:
        return self.output.with_name(self.output.name + ending)

    def _write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        temporary = self.work / f".{uuid.uuid4().hex}.tmp"
        with _explained(self.output):
            try:
                with temporary.open("wb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            _keep_names(path.parent)


class RemoteStore:
    """In an object store, where putting a file is all or nothing; see :class:`Store`.

    Args:
        url: of the output, as messages name it.
        system: the file system of fsspec.
        output: the object to make there, or the common beginning of several.
    """

    def __init__(self, url: str, system: Any, output: str) -> None:
        path = PurePosixPath(output)
        self._url, self._system, self._output = url, system, output
        self._work = str(path.with_name(f".{path.name}.parts"))

    def names(self) -> set[str]:
        """See :class:`Store`."""
        self._system.invalidate_cache()
        with _explained(self._url):  # of a bucket that is not there
            found = self._system.find(self._work)
        return {PurePosixPath(path).name for path in found}

    def open(self, name: str) -> Any:
        """See :class:`Store`."""
        return self._system.open(f"{self._work}/{name}", "rb")

    def commit(self, name: str, content: bytes) -> None:
        """See :class:`Store`."""
        with _explained(self._url):
            self._system.makedirs(self._work, exist_ok=True)
            self._system.pipe_file(f"{self._work}/{name}", content)

    def publish(self, ending: str, write: Callable[[BinaryIO], object]) -> None:
        """See :class:`Store`: put together on this machine, then put there whole."""
        with _explained(self._url), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _WHOLE
            with path.open("wb") as file:
                write(file)
            self._system.put_file(str(path), self._output + ending)

    def publish_folder(self, names: Sequence[str]) -> None:
        """See :class:`Store`; the manifest, which comes last, tells that all are there."""
        with _explained(self._url):
            self._system.makedirs(self._output, exist_ok=True)
            for name in names:
                self._system.cp_file(f"{self._work}/{name}", f"{self._output}/{name}")

    def read(self, ending: str) -> bytes | None:
        """See :class:`Store`."""
        path = self._output + ending
        return bytes(self._system.cat_file(path)) if self._system.exists(path) else None

    def discard(self, ending: str) -> None:
        """See :class:`Store`."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._output + ending)

    def exists(self) -> bool:
        """See :class:`Store`."""
        return bool(self._system.exists(self._output))

    def clear(self) -> None:
        """See :class:`Store`."""
        with suppress(FileNotFoundError):
            self._system.rm(self._work, recursive=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Object stores know no locks: two runs at once do the work twice, to the same bytes."""
        yield


def _keep_names(folder: Path) -> None:
    """Let a rename survive a loss of power; Windows opens no folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explained(output: object) -> Iterator[None]:
    """Errors of the system while the output is written, in words for the person who can mend them."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise PocketBertError(
            f"{output}: cannot be written ({reason}); what was finished is kept. Make room or give the right, "
            "and run the same command again"
        ) from error
