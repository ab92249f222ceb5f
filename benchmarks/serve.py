r"""The rate that a server holds with 99 of 100 answers within 100 ms: ours beside its neighbours, on the same student.

    python benchmarks/serve.py --neighbours other/bin/python --infinity third/bin/python --json runs/bench/serve.json

Real texts of very different lengths, one a request, at random times (open loop, see load.py). For each server, in turn,
the highest rate is searched by halving; then ours is sent twice its rate: how many are answered still, how soon are the
others refused, and how much does its memory grow? Client and server share the machine, in the same way for all.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bulk import read_mixed
from common import call, console, make_parser, print_table, write_result
from load import Outcome, load, make_request
from pocketbert.measure.wording import times
from random_student import make_student
from serve_ways import NEIGHBOURS

OURS = "PocketBERT"
CLOSE = 1 / 16
"""Of a rate: so near it is found, and to 1 request/s."""
TRIES = 2
"""Of a rate that is not held: a moment of something else on the machine is not to end a search."""
REQUESTS, LONGEST = 300, 20.0
"""Requests of a rate that is tried, at least, for a hundredth of them to be some; but seconds at most."""
FIRST_RATE = 8.0
"""Requests a second; a server that holds neither this nor twice as many holds none."""
PATIENCE = 120.0
"""Seconds for a server to start."""


@dataclass
class Server:
    """A server that is running.

    Attributes:
        name: of it.
        port: that it listens on.
        process: of it.
        requests: that it is sent.
        limit: milliseconds for 99 of 100 answers.
        rates: that it held, one a round.
        probes: what was measured on the way.
        memory_bytes: resident, after the searches.
    """

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    requests: list[bytes]
    limit: float
    rates: list[float] = field(default_factory=list)
    probes: list[dict[str, float]] = field(default_factory=list)
    memory_bytes: int = 0

    def memory(self) -> int:
        """Resident bytes of all its processes."""
        return sum(each.memory_info().rss for each in self._processes())

    def suspend(self) -> None:
        """Keep it from disturbing others: some are busy while nobody asks them."""
        for each in self._processes():
            each.suspend()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it go on for a while."""
        for each in self._processes():
            each.resume()
        yield
        self.suspend()

    def _processes(self) -> list[psutil.Process]:
        """Its own and all below it."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def holds(self, rate: float, seconds: float) -> bool:
        """Whether it holds a rate, at the second try at the latest."""
        return any(self.probe(rate, seconds) for _ in range(TRIES))

    def probe(self, rate: float, seconds: float) -> bool:
        """Send a rate once; whether it was held."""
        seconds = max(seconds, min(LONGEST, REQUESTS / rate))
        found = load(self.port, self.requests, rate, seconds, seed=len(self.probes))
        p99 = found.percentile(0.99)
        self.probes.append({"rate": rate, "p50": found.percentile(0.5), "p99": p99, "answered": len(found.answered)})
        time.sleep(min(2.0, seconds / 4))  # what still waits is not the next probe's
        return p99 <= self.limit

    def search(self, seconds: float) -> None:
        """Find the highest rate that it holds: double until two in a row are not held, then halve.

        One may be missed: processors that are nearly idle wake up slowly, and a low rate is then harder than the next.
        """
        low, rate = 0.0, FIRST_RATE
        while rate <= max(2 * FIRST_RATE, 4 * low):
            low = rate if self.holds(rate, seconds) else low
            rate *= 2
        high = 2 * low
        while high - low > max(1.0, CLOSE * high):
            middle = (low + high) / 2
            low, high = (middle, high) if self.holds(middle, seconds) else (low, middle)
        self.rates.append(low)


def main() -> None:
    """Start the servers, find their rates in turn, overload ours, print and write."""
    flags = _flags()
    folder = Path(flags.scratch)
    folder.mkdir(parents=True, exist_ok=True)
    texts = read_mixed(200 if flags.short else 4000)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    student = make_student(folder / ("short" if flags.short else "student"), texts, flags.short)
    seconds, rounds = (2.0, 1) if flags.short else (flags.seconds, flags.rounds)
    with _servers(flags, folder, student, texts) as (servers, missing):
        for number in range(rounds):
            for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                with server.awake():
                    server.search(seconds)
                console.print(f"round {number + 1}: {server.name} {server.rates[-1]:,.0f} requests/s", highlight=False)
        for server in servers:
            server.memory_bytes = server.memory()
        with servers[0].awake():
            over, growth = _overload(servers[0], flags.overload_seconds if not flags.short else 4.0)
    _report(flags.json, servers, missing, over, growth)


def _flags() -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--limit", type=float, default=100.0, metavar="MS", help="for 99 of 100 answers")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="searches of each server, in turn")
    parser.add_argument("--seconds", type=float, default=12.0, metavar="X", help="of each rate that is tried")
    parser.add_argument("--overload-seconds", type=float, default=60.0, metavar="X", help="of twice the rate")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of every server's engine")
    parser.add_argument(
        "--neighbours", metavar="PYTHON", help="a Python with transformers, LitServe, sentence-transformers"
    )
    parser.add_argument("--infinity", metavar="PYTHON", help="a Python that has infinity_emb")
    parser.add_argument("--flags", default="", metavar="TEXT", help="more flags of our own server")
    parser.add_argument("--scratch", default="runs/bench/bulk", metavar="DIR", help="where student and texts lie")
    return parser.parse_args()


@contextmanager
def _servers(
    flags: argparse.Namespace, folder: Path, student: Path, texts: Sequence[str]
) -> Iterator[tuple[list[Server], list[str]]]:
    commands = {OURS: [sys.executable, "-m", "pocketbert.cli", "serve", str(student), "--threads", str(flags.threads)]}
    commands[OURS] += ["--deadline", str(int(flags.limit)), *flags.flags.split()]
    script = str(Path(__file__).with_name("serve_ways.py"))
    for name in NEIGHBOURS:
        python = flags.infinity if name.startswith("infinity") else flags.neighbours
        if python:
            commands[name] = [python, script, name, str(student), str(folder / "texts.json"), str(flags.threads)]
    servers, missing = [], [f"{name}: no Python was named for it" for name in NEIGHBOURS if name not in commands]
    try:
        for name, command in commands.items():
            server = _start(name, command, folder, texts, flags.limit)
            servers.append(server)
            if not _answers(server):
                missing.append(f"{name}: does not start, see {folder / name}.log")
                _end(servers.pop())
            else:
                server.suspend()
        yield servers, missing
    finally:
        for server in servers:
            _end(server)


def _start(name: str, command: list[str], folder: Path, texts: Sequence[str], limit: float) -> Server:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    console.print(f"starting {name}", highlight=False)
    log = (folder / f"{name}.log").open("wb")
    command = [*command, "--port", str(port)] if name == OURS else [*command, str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    path = NEIGHBOURS.get(name, "/embed")
    requests = [make_request(path, json.dumps(_body(path, text)).encode()) for text in texts]
    return Server(name, port, process, requests, limit)


def _body(path: str, text: str) -> dict[str, Any]:
    return {"input": text, "model": "student"} if path == "/embeddings" else {"inputs": text}


def _answers(server: Server) -> bool:
    """Whether it answers within two minutes; some texts of all lengths warm it up."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.process.poll() is not None:
            return False
        if load(server.port, server.requests[:5], 2.0, 2.0).answered:
            load(server.port, server.requests, 5.0, 20.0)
            return True
    return False


def _end(server: Server) -> None:
    own = psutil.Process(server.process.pid) if server.process.poll() is None else None
    for each in [*own.children(recursive=True), own] if own else []:
        each.kill()
    server.process.wait()


def _overload(server: Server, seconds: float) -> tuple[Outcome, int]:
    """Twice the rate that it holds, and by how many bytes its memory grows from the first tenth of that to the end.

    If it holds none, twice the first that was tried.
    """
    rate = 2 * (statistics.median(server.rates) or FIRST_RATE)
    load(server.port, server.requests, rate, seconds / 10)
    before = server.memory()
    found = load(server.port, server.requests, rate, seconds, seed=1)
    return found, server.memory() - before


def _report(path: Path | None, servers: Sequence[Server], missing: Sequence[str], over: Outcome, growth: int) -> None:
    held = {server.name: statistics.median(server.rates) for server in servers}
    ours = held[OURS]
    cells = [
        [name, f"{rate:,.0f}", times(ours / rate) if rate and name != OURS else "", f"{server.memory_bytes / 1e6:,.0f}"]
        for server, (name, rate) in zip(servers, held.items(), strict=True)
    ]
    title = f"Rates held with p99 under {servers[0].limit:g} ms"
    print_table(title, ["server", "requests/s", "ours against it", "memory, MB"], cells)
    best = max((rate for name, rate in held.items() if name != OURS), default=None)
    rejected = sorted(over.rejected)
    summary = {
        "server": f"{OURS}, overloaded",
        "rate": over.rate,
        "goodput": over.goodput,
        "goodput_share": over.goodput / ours if ours else None,
        "rejected": len(rejected),
        "rejected_p50_ms": statistics.median(rejected) if rejected else None,
        "rejected_p99_ms": rejected[int(0.99 * len(rejected))] if rejected else None,
        "failed": over.failed,
        "growth_bytes": growth,
    }
    console.print(json.dumps(summary, indent=1), highlight=False)
    for each in missing:
        console.print(f"not measured: {each}", highlight=False)
    rows = [{"server": each.name, "rates": each.rates, "probes": each.probes} for each in servers]
    # Who does not hold the first rate may hold a lower one, so that ours is at least so many times as high.
    headline = None if best is None else ours / (best or FIRST_RATE)
    unit = "times the rate of the best neighbour" + (", at least: none holds the first rate" if best == 0 else "")
    write_result(path, "serve", headline, unit, [*rows, summary])


if __name__ == "__main__":
    call(main)
