"""An open-loop load on a server: requests leave when their time has come, whether earlier ones are answered or not.

Latency counts from the time at which a request was to leave, so that a server that falls behind cannot hide it. The
client speaks just as much HTTP/1.1 as it needs, for it shares the machine with the server.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

PATIENCE = 10.0
"""Seconds after which a request without an answer has failed."""


@dataclass
class Outcome:
    """What became of the requests of one load.

    Attributes:
        rate: requests a second that were sent.
        seconds: for which they were.
        answered: milliseconds of each that was answered with 200.
        rejected: milliseconds of each that was refused with 429 or 503.
        failed: how many ended otherwise.
    """

    rate: float
    seconds: float
    answered: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def sent(self) -> int:
        """All of them."""
        return len(self.answered) + len(self.rejected) + self.failed

    @property
    def goodput(self) -> float:
        """Requests a second that were answered."""
        return len(self.answered) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which a share of all requests were answered; refused and failed ones never were."""
        times = sorted(self.answered)
        place = int(share * self.sent)
        return times[place] if place < len(times) else float("inf")


class _Connections:
    """Connections that are kept open and used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def ask(self, request: bytes) -> int:
        """Send a request and read the answer to its end; the status."""
        while self._free:
            connection = self._free.pop()
            if not connection[0].at_eof():
                break
        else:
            connection = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = connection
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await _read_body(reader, head)
        except BaseException:
            writer.close()
            raise
        if "connection: close" in head:
            writer.close()
        else:
            self._free.append(connection)
        return int(head.split(" ", 2)[1])

    def close(self) -> None:
        """Close what is open."""
        for _, writer in self._free:
            writer.close()


async def _read_body(reader: asyncio.StreamReader, head: str) -> None:
    if "content-length:" in head:
        await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
    elif "transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)


def make_request(path: str, body: bytes) -> bytes:
    """A POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def load(port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int = 0) -> Outcome:
    """Send requests to a port of this machine, at random times that come to so many a second.

    Args:
        port: of the server.
        requests: that are sent, one after the other and over again.
        rate: requests a second on average, as independent people send them (Poisson).
        seconds: for which.
        seed: of the times.
    """
    return asyncio.run(_load(port, requests, rate, seconds, seed))


async def _load(port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int) -> Outcome:
    outcome, connections, chosen = Outcome(rate, seconds), _Connections(port), random.Random(seed)
    start, due, tasks, number = time.perf_counter(), 0.0, set(), chosen.randrange(len(requests))
    while (due := due + chosen.expovariate(rate)) < seconds:
        wait = start + due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        request = requests[number % len(requests)]
        number += 1
        task = asyncio.create_task(_one(connections, request, start + due, outcome))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)
    connections.close()
    return outcome


async def _one(connections: _Connections, request: bytes, due: float, outcome: Outcome) -> None:
    status = 0
    with contextlib.suppress(OSError, EOFError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE):
            status = await connections.ask(request)
    milliseconds = 1000 * (time.perf_counter() - due)
    if status == 200:
        outcome.answered.append(milliseconds)
    elif status in (429, 503):
        outcome.rejected.append(milliseconds)
    else:
        outcome.failed += 1
