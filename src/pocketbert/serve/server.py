"""The server: from a socket to the last answer after SIGTERM."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from pocketbert.errors import PocketBertError
from pocketbert.serve.app import make_app
from pocketbert.serve.logs import log, set_up_logs
from pocketbert.serve.metrics import Metrics
from pocketbert.serve.processes import COMMAND
from pocketbert.serve.protocol import GuardedProtocol
from pocketbert.serve.registry import Registry
from pocketbert.serve.settings import Settings, parse_models

_LAST_ANSWERS = 30
"""Seconds for what was accepted to be answered, after the last connection was."""

_LONGEST = 2**31 - 1
"""Milliseconds that the kernel can count."""


class Server(uvicorn.Server):
    """A server that is drained before it ends.

    Args:
        config: of uvicorn.
        registry: its models.
        announce: called when it listens.
    """

    def __init__(self, config: uvicorn.Config, registry: Registry, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._registry, self._announce = registry, announce
        self._end = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell; see uvicorn.

        Raises:
            PocketBertError: another server came to listen there meanwhile.
        """
        try:
            for each in sockets or ():
                each.listen(self.config.backlog)  # uvloop would close the socket, and tell nobody why
        except OSError as error:
            settings = self._registry.settings
            raise _not_free(settings.host, settings.port, error) from None
        await super().startup(sockets)
        self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
        """SIGTERM: tell that no more should come, answer what comes all the same for a while, then end; Ctrl-C: end."""
        registry = self._registry
        if sig == signal.SIGTERM and not registry.draining:
            self._end = time.monotonic() + registry.settings.drain_seconds
        else:
            self.force_exit = self.should_exit
            self.should_exit = True
        registry.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; see uvicorn."""
        if time.monotonic() >= self._end:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(
    models: list[str],
    settings: Settings,
    announce: Callable[[str, Registry], None],
    command: Sequence[str] = COMMAND,
) -> None:
    """Serve models until a signal ends it.

    Args:
        models: their directories, each as ``DIR`` or ``NAME=DIR``.
        settings: how.
        announce: called with the address and the models, when they can be asked.
        command: that starts a worker.

    Raises:
        PocketBertError: the address cannot be had, or a model cannot be loaded.
    """
    folders = parse_models(models)
    set_up_logs()
    listener = _bind(settings)
    registry = Registry(folders, settings, Metrics(), command)
    config = _configure(settings, registry)
    with listener, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        server = Server(config, registry, lambda: announce(_url(listener), registry))
        runner.run(_serve(server, registry, listener))


async def _serve(server: Server, registry: Registry, listener: socket.socket) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it would end the process, before there is anything to load anew
    await registry.open()
    loop = asyncio.get_running_loop()
    watching = {loop.create_task(_watch(registry))}
    loop.add_signal_handler(signal.SIGHUP, lambda: watching.add(loop.create_task(registry.reload(always=True))))
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in watching:
            task.cancel()
        await registry.close()
    log("ended")


async def _watch(registry: Registry) -> None:
    """Look every so often whether a model has changed."""
    seconds = registry.settings.reload_seconds
    while seconds:
        await asyncio.sleep(seconds)
        await registry.reload()


def _configure(settings: Settings, registry: Registry) -> uvicorn.Config:
    protocol = cast("type[asyncio.Protocol]", partial(GuardedProtocol, settings.header_timeout))
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
    return uvicorn.Config(
        make_app(registry),
        http=protocol,
        ws="none",
        lifespan="off",
        timeout_keep_alive=int(settings.keep_alive),
        timeout_graceful_shutdown=_LAST_ANSWERS,
        **options,
    )


def _bind(settings: Settings) -> socket.socket:
    """A socket that has its address, and does not listen before the models are there.

    Raises:
        PocketBertError: the address cannot be had.
    """
    host, port = settings.host, settings.port
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # uvicorn waits for ever for a client that does not take its answer. Connections inherit this limit, and
            # only the kernel knows what a client has taken: much of an answer waits in its buffers, not here.
            milliseconds = min(int(settings.keep_alive * 1000), _LONGEST)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listener.bind(address)
    except (OSError, UnicodeError) as error:  # the latter of a name that no computer can have
        raise _not_free(host, port, error) from None
    return listener


def _not_free(host: str, port: int, error: Exception) -> PocketBertError:
    reason = error.strerror if isinstance(error, OSError) else error
    return PocketBertError(f"{host}:{port}: cannot be listened on: {reason}; name another --port or --host")


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
