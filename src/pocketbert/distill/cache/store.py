"""Records on disk, appended entry by entry and read back memory-mapped; a killed append never happened.

An entry is what the teacher said about one sample: some records of each kind, in shards of raw arrays. A table holds a
line for each: its number, and where in the shard its records end. ``index.json`` says how many entries count; it is
replaced (never edited) once what it counts is on disk.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically

INDEX = "index.json"
TABLE = "entries.bin"
SHARD_ENTRIES = 65536
Kinds = Mapping[str, np.dtype[Any]]
"""Type of a record, by the name of its kind."""
Records = Mapping[str, NDArray[Any]]


class Reader:
    """The entries that count when it is opened.

    Args:
        folder: of the store.
        kinds: all that it has.

    Attributes:
        numbers: (entries,) the number of each entry, in the order of their arrival.
    """

    def __init__(self, folder: Path, kinds: Kinds) -> None:
        self._folder = folder
        self._kinds = kinds
        self._columns = {kind: column for column, kind in enumerate(kinds, start=1)}
        self._table = map_table(folder, kinds)
        self._shards: dict[tuple[int, str], NDArray[Any]] = {}
        self.numbers: NDArray[np.int64] = self._table[:, 0]

    def __len__(self) -> int:
        return len(self._table)

    def read(self, entry: int, kind: str) -> NDArray[Any]:
        """The records of one kind of an entry, mapped and not copied.

        Args:
            entry: its place in the order of arrival.
            kind: of the records.
        """
        shard, within = divmod(entry, SHARD_ENTRIES)
        start = self._table[entry - 1, self._columns[kind]] if within else 0
        return self._open(shard, kind)[start : self._table[entry, self._columns[kind]]]

    def _open(self, shard: int, kind: str) -> NDArray[Any]:
        if (shard, kind) not in self._shards:
            last = min((shard + 1) * SHARD_ENTRIES, len(self)) - 1
            length = int(self._table[last, self._columns[kind]])
            self._shards[shard, kind] = _map(_shard_path(self._folder, shard, kind), self._kinds[kind], (length,))
        return self._shards[shard, kind]


class Writer:
    """Appends to a store, after what counts; what a killed writer left behind that is cut off.

    Args:
        folder: of the store, with an index.
        kinds: all that it has.

    Attributes:
        index: whatever its makers want to be remembered, and how many entries count.
    """

    def __init__(self, folder: Path, kinds: Kinds) -> None:
        self.index = read_index(folder)
        self._folder = folder
        self._kinds = kinds
        table = map_table(folder, kinds)
        self._ends = dict(zip(kinds, table[-1, 1:].tolist() if len(table) else [0] * len(kinds), strict=True))
        self._unsaved: set[Path] = set()
        self._cut()

    def append(self, numbers: NDArray[np.int64], counts: Records, records: Records) -> None:
        """Add entries; they count after the next :meth:`flush`.

        Args:
            numbers: (entries,) of each.
            counts: by kind, (entries,) how many records each entry has.
            records: by kind, those of all entries one after the other.
        """
        shard, within = divmod(self.index["entries"], SHARD_ENTRIES)
        if not within:
            self._ends = dict.fromkeys(self._kinds, 0)
        fit = SHARD_ENTRIES - within
        used = {kind: int(counts[kind][:fit].sum()) for kind in self._kinds}
        lines = [numbers[:fit]]
        for kind in self._kinds:
            lines.append(self._ends[kind] + np.cumsum(counts[kind][:fit]))
            self._ends[kind] += used[kind]
            self._extend(_shard_path(self._folder, shard, kind), records[kind][: used[kind]])
        self._extend(self._folder / TABLE, np.stack(lines, axis=1).astype("<i8"))
        self.index["entries"] += len(lines[0])
        if len(numbers) > fit:
            rest = {kind: records[kind][used[kind] :] for kind in self._kinds}
            self.append(numbers[fit:], {kind: counts[kind][fit:] for kind in self._kinds}, rest)

    def flush(self) -> None:
        """Let all that was appended count, whatever happens from now on."""
        for path in self._unsaved:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        self._unsaved.clear()
        write_index(self._folder, self.index)

    def _extend(self, path: Path, values: NDArray[Any]) -> None:
        with path.open("ab") as file:
            file.write(np.ascontiguousarray(values).tobytes())
        self._unsaved.add(path)

    def _cut(self) -> None:
        entries = self.index["entries"]
        last = (entries - 1) // SHARD_ENTRIES  # -1 where there is none
        _truncate(self._folder / TABLE, entries * 8 * (1 + len(self._kinds)))
        for kind, dtype in self._kinds.items():
            for path in self._folder.glob(f"{kind}-*.bin"):
                shard = int(path.stem.rpartition("-")[2])
                if shard >= last:
                    _truncate(path, self._ends[kind] * dtype.itemsize if shard == last else 0)


def read_index(folder: Path) -> dict[str, Any]:
    """What is remembered of a store; empty where there is none."""
    path = folder / INDEX
    index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return index


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Remember it, whole or not at all."""
    write_atomically(folder / INDEX, json.dumps(index, indent=1))


def map_table(folder: Path, kinds: Kinds) -> NDArray[np.int64]:
    """(entries, 1 + kinds) the number of each entry that counts, and by kind where in its shard its records end."""
    return _map(folder / TABLE, np.dtype("<i8"), (read_index(folder).get("entries", 0), 1 + len(kinds)))


def _map(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if not shape[0]:
        return np.empty(shape, dtype=dtype)  # nothing cannot be mapped
    if not path.is_file() or path.stat().st_size < dtype.itemsize * math.prod(shape):
        raise PocketBertError(f"{path}: shorter than its index says, so that the cache is damaged; delete its folder")
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def _truncate(path: Path, size: int) -> None:
    if path.is_file():
        os.truncate(path, size)


def _shard_path(folder: Path, shard: int, kind: str) -> Path:
    return folder / f"{kind}-{shard:05d}.bin"
