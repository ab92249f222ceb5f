"""A corpus: text tokenised once, kept as one stream of ids in memory-mapped shards, read as full blocks.

The stream is every document's ids followed by the separator. Shards are raw arrays, and ``index.json`` says how
much of them counts: it is replaced (never edited) after each flush, so a killed build goes on from the last one.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketbert.errors import DataError
from pocketbert.files import write_atomically

BATCH_CHARACTERS = 1_000_000
"""Text given to the tokenizer at once: enough for its threads, small enough for constant memory."""
SHARD_TOKENS = 32 * 1024 * 1024
COUNTED_TOKENS = 1024 * 1024


class Corpus:
    """A finished corpus, opened for reading.

    Args:
        folder: where :func:`build_corpus` put it.

    Attributes:
        tokens: ids in the stream, separators included.
        documents: documents read.
        counts: (vocabulary,) how often each id occurs.

    Raises:
        DataError: there is no finished corpus in the folder.
    """

    def __init__(self, folder: Path) -> None:
        index = read_index(folder)
        if not index.get("complete"):
            raise DataError(f"{folder}: no finished corpus here; build it again, it goes on where it stopped")
        self.folder = folder
        self.tokens: int = sum(index["shards"])
        self.documents: int = index["documents"]
        self.counts: NDArray[np.int64] = np.load(folder / "counts.npy")
        self._starts = np.cumsum([0, *index["shards"]])
        self._shards = [
            np.memmap(_shard_path(folder, number), dtype=index["dtype"], mode="r", shape=(length,))
            for number, length in enumerate(index["shards"])
            if length
        ]

    def blocks(self, block: int) -> int:
        """How many full blocks of ``block`` ids, two special tokens included, the stream fills."""
        return self.tokens // (block - 2)

    def block(self, number: int, block: int, first: int, last: int) -> NDArray[np.int64]:
        """One full block: (block,) ids, ``first`` (CLS) in front and ``last`` (SEP) at the end."""
        content = block - 2
        row = np.empty(block, dtype=np.int64)
        row[0], row[-1] = first, last
        row[1:-1] = self._read(number * content, content)
        return row

    def _read(self, start: int, length: int) -> NDArray[Any]:
        shard = int(np.searchsorted(self._starts, start, side="right")) - 1
        offset = start - int(self._starts[shard])
        part = self._shards[shard][offset : offset + length]
        if len(part) == length:
            return part
        return np.concatenate([part, self._read(start + len(part), length - len(part))])


def build_corpus(
    texts: Iterable[str],
    tokenizer: Any,
    folder: Path,
    key: str,
    on_progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Tokenise documents into a folder, or go on with a build that was killed.

    Args:
        texts: documents, in the same order each time.
        tokenizer: a fast ``transformers`` tokenizer with a separator token.
        folder: where the shards go; made when absent.
        key: what the corpus is made of (source and tokenizer hashes); another key starts afresh.
        on_progress: called after each flush with the characters that it is of.

    Returns:
        The finished corpus, opened. One that is finished already is opened without reading a text.

    Raises:
        DataError: the texts hold no token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = read_index(folder)
    if index.get("key") != key:
        index = {"key": key, "dtype": _smallest_dtype(len(tokenizer)), "documents": 0, "characters": 0, "shards": [0]}
    if not index.get("complete"):
        # A tokenizer.json may ask for truncation or padding, which would lose text or add none.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        rest = itertools.islice(texts, index["documents"], None)
        for batch, encodings in _encode_ahead(batch_texts(rest), tokenizer):
            _append(folder, index, _ids(encodings, tokenizer.sep_token_id, index["dtype"]))
            index["documents"] += len(batch)
            characters = sum(map(len, batch))
            index["characters"] += characters
            _write_index(folder, index)
            if on_progress:
                on_progress(characters)
        _finish(folder, index, len(tokenizer))
    return Corpus(folder)


def read_index(folder: Path) -> dict[str, Any]:
    """The state of a corpus folder; empty when nothing has been built there."""
    path = folder / "index.json"
    index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return index


def batch_texts(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in batches of about ``BATCH_CHARACTERS``, as the tokenizer is given them."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _encode_ahead(batches: Iterator[list[str]], tokenizer: Any) -> Iterator[tuple[list[str], list[Any]]]:
    """Each batch with its encodings, made while the ids of the batch before are written."""

    def encode(batch: list[str]) -> tuple[list[str], list[Any]]:
        # encode_batch_fast leaves out the offsets, which nothing here needs.
        return batch, tokenizer.backend_tokenizer.encode_batch_fast(batch, add_special_tokens=False)

    with ThreadPoolExecutor(max_workers=1) as executor:
        waiting: Future[tuple[list[str], list[Any]]] | None = None
        for batch in batches:
            following = executor.submit(encode, batch)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def _ids(encodings: list[Any], separator: int, dtype: str) -> NDArray[Any]:
    """The ids of a batch as one array, a separator behind each document."""
    documents = (ids for encoding in encodings if (ids := encoding.ids))
    parts = (part for ids in documents for part in (ids, (separator,)))
    return np.fromiter(itertools.chain.from_iterable(parts), dtype=dtype)


def _append(folder: Path, index: dict[str, Any], ids: NDArray[Any]) -> None:
    number, length = len(index["shards"]) - 1, index["shards"][-1]
    path = _shard_path(folder, number)
    path.touch()
    with path.open("r+b") as file:
        # What a killed build wrote after its last index does not count.
        file.truncate(length * ids.itemsize)
        file.seek(0, 2)
        file.write(ids.tobytes())
    index["shards"][-1] += len(ids)
    if index["shards"][-1] >= SHARD_TOKENS:
        index["shards"].append(0)


def _finish(folder: Path, index: dict[str, Any], vocabulary: int) -> None:
    if not sum(index["shards"]):
        raise DataError("the text holds no token; is the file empty?")
    counts = np.zeros(vocabulary, dtype=np.int64)
    for number, length in enumerate(index["shards"]):
        if length:
            shard = np.memmap(_shard_path(folder, number), dtype=index["dtype"], mode="r", shape=(length,))
            # In parts, for bincount makes eight bytes of every id.
            for start in range(0, length, COUNTED_TOKENS):
                counts += np.bincount(shard[start : start + COUNTED_TOKENS], minlength=vocabulary)
    np.save(folder / "counts.npy", counts)
    index["complete"] = True
    _write_index(folder, index)


def _write_index(folder: Path, index: dict[str, Any]) -> None:
    write_atomically(folder / "index.json", json.dumps(index, indent=1))


def _smallest_dtype(vocabulary: int) -> str:
    return "uint16" if vocabulary <= 2**16 else "uint32"


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"tokens-{number:05d}.bin"
