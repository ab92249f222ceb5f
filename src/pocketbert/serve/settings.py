"""Every option of a server, once: the flags of ``pocketbert serve`` follow from here."""

import os
import unicodedata
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pocketbert.errors import PocketBertError
from pocketbert.machine import MOST_THREADS, granted_cores
from pocketbert.recipe import Precision, Section
from pocketbert.recipe.sections import Seconds

KEYS = "POCKETBERT_API_KEYS"
"""The variable that holds API keys, parted by commas: unlike flags, nobody else on the machine can read it."""

_SIGNS = " ._-+=@"
"""In names of models, beside letters and digits of any script, and their accents."""


class Settings(Section):
    """How to serve."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all, as in a container")
    port: int = Field(8080, ge=0, lt=65536, description="to listen on; 0 takes a free one")
    engine: Literal["auto", "openvino", "onnxruntime"] = Field(
        "auto", description="auto: the fastest here that answers right"
    )
    precision: Precision | None = Field(None, description="of the file; the fastest when absent")
    threads: int | None = Field(
        None, gt=0, le=MOST_THREADS, description="of each model's engine; all granted cores when absent"
    )
    streams: int | None = Field(
        None, gt=0, description="batches of a model that run at once and share its threads; one for two when absent"
    )
    batch_tokens: int = Field(512, gt=0, description="of a batch, padding included")
    max_queue_tokens: int = Field(131_072, gt=0, description="that may wait for one model; more is refused (429)")
    deadline: int = Field(
        1000, gt=0, description="milliseconds for an answer; what would take longer is refused at once (429)"
    )
    batch_timeout: Seconds = Field(20.0, description="after which a model that does not answer is replaced")
    max_requests: int = Field(512, gt=0, description="that are answered at once; more are refused (429)")
    max_body: int = Field(2_000_000, gt=0, description="bytes of a request (413)")
    max_characters: int = Field(200_000, gt=0, description="of one text (413)")
    max_items: int = Field(1000, gt=0, description="texts of one request (413)")
    auto_truncate: bool = Field(
        True, description="cut texts that are too long where a request does not say; answers tell which were cut"
    )
    header_timeout: Seconds = Field(10.0, description="for the head of a request to arrive")
    receive_timeout: Seconds = Field(15.0, description="for the body of a request to arrive (408)")
    keep_alive: Seconds = Field(75.0, description="that a connection may lie idle, or take nothing of its answer")
    drain_seconds: float = Field(5.0, ge=0, description="after SIGTERM in which new requests are still answered")
    reload_seconds: float = Field(5.0, ge=0, description="between looks whether a model was exported anew; 0: never")
    api_key: list[str] = Field([], description=f"a request has to bring one; repeat the flag, or better set {KEYS}")
    cors_origin: list[str] = Field([], description="whose pages may ask from a browser; repeat the flag; * for all")
    metrics_open: bool = Field(False, description="whether /metrics needs no key")
    telemetry: bool = Field(False, description="send traces by OpenTelemetry, as its variables (OTEL_…) say")

    @model_validator(mode="after")
    def _check_streams(self) -> "Settings":
        threads, streams = self.granted_threads, self.granted_streams
        if streams > threads:  # as pocketbert.load has it
            raise ValueError(f"threads {threads}, streams {streams}: from one stream to one for each thread")
        return self

    @property
    def granted_threads(self) -> int:
        """Of each model's engine."""
        return self.threads or granted_cores()

    @property
    def granted_streams(self) -> int:
        """Of each model: one for two threads, so that a long text does not take twice as long."""
        return self.streams or max(1, self.granted_threads // 2)

    @property
    def keys(self) -> list[bytes]:
        """API keys of the flags and of the environment; none when requests need none."""
        found = [*self.api_key, *os.environ.get(KEYS, "").split(",")]
        return [key.strip().encode() for key in found if key.strip()]


def parse_models(given: list[str]) -> dict[str, Path]:
    """Names and directories from ``DIR`` or ``NAME=DIR``.

    Raises:
        PocketBertError: a name is there twice or cannot stand in an address, or there is no such directory.
    """
    found: dict[str, Path] = {}
    for each in given:
        name, named, rest = each.partition("=")
        folder = Path(rest if named and not Path(each).exists() else each)
        name = name if named and not Path(each).exists() else folder.resolve().name
        shown = _printable(str(folder))
        if not folder.is_dir():
            raise PocketBertError(f"{shown}: no such model directory; name one that pocketbert export made")
        if not _is_name(name):
            raise PocketBertError(
                f"{name!a} cannot be the name of a model: a name has letters, digits and, between them, spaces "
                f"and any of {_SIGNS.strip()}; give another: NAME={shown}"
            )
        if name in found:
            raise PocketBertError(f"two models are named {name}; give one another name: NAME={shown}")
        found[name] = folder
    return found


def _is_name(name: str) -> bool:
    """Whether a name can stand in JSON, in a log and in the address of a browser export, where .. would lead away."""
    fitting = all(character in _SIGNS or unicodedata.category(character)[0] in "LMN" for character in name)
    return fitting and name == name.strip() and any(map(str.isalnum, name))


def _printable(path: str) -> str:
    """A path for a message: what is no UTF-8, or would break the line, is escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in path)
