"""What passes between the server and its workers: a head in JSON, and the bytes of one array."""

import struct
from collections.abc import Callable
from typing import Any

import orjson

from pocketbert.inference.reading import Window

LENGTHS = struct.Struct("!II")
"""Bytes of the head and of the array, before both."""

Head = dict[str, Any]


def pack(head: Head, payload: bytes = b"") -> bytes:
    """A message as bytes."""
    text = orjson.dumps(head)
    return LENGTHS.pack(len(text), len(payload)) + text + payload


def pack_windows(number: int, windows: list[Window]) -> bytes:
    """A batch to run.

    Args:
        number: that the answer will bear.
        windows: of the batch.
    """
    return pack({"batch": number, "windows": [(window.ids, window.types, window.wanted) for window in windows]})


def read_message(read: Callable[[int], bytes]) -> tuple[Head, bytes] | None:
    """The next message of a blocking stream; None at its end.

    Args:
        read: reads so many bytes, fewer only at the end.
    """
    lengths = read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, payload = LENGTHS.unpack(lengths)
    return orjson.loads(read(head)), read(payload)
