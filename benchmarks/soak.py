"""Does a server that runs for long grow? Mixed traffic at a moderate rate, and the memory of every process beside it.

    python benchmarks/soak.py MODEL --minutes 30

MODEL is a directory that `pocketbert export` made, of any task. Texts of one to some hundred words come at random
times, whether the last was answered or not; among them are requests that are cancelled, invalid, too large or refused.
The headline is the slope of the memory of server and worker together, in MB an hour; its interval should hold 0.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from common import call, console, make_parser, print_table, write_result
from pocketbert.errors import PocketBertError

WARM_UP = 0.2
"""Share of the time before memory counts: engines prepare themselves for each length that they meet."""
BLOCKS = 20
"""Whose means the slope is drawn through: samples close together tell the same thing twice."""
_QUANTILE = 2.1
"""Of Student's t for so many blocks, 95 %."""


@dataclass
class Memory:
    """Resident megabytes over time.

    Attributes:
        seconds: since the start.
        server: of the server's process.
        workers: of its workers.
    """

    seconds: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    workers: list[float] = field(default_factory=list)

    def sample(self, process: psutil.Process, seconds: float) -> None:
        """Look once."""
        self.seconds.append(seconds)
        self.server.append(process.memory_info().rss / 1e6)
        self.workers.append(sum(child.memory_info().rss for child in process.children()) / 1e6)


def slope(seconds: list[float], values: list[float]) -> tuple[float, float]:
    """Change an hour, and half of its 95 % interval: a line through the means of blocks, after the warm-up."""
    kept = np.array(seconds) >= WARM_UP * seconds[-1]
    times, found = np.array(seconds)[kept] / 3600, np.array(values)[kept]
    parts = np.array_split(np.arange(len(times)), min(BLOCKS, len(times)))
    x, y = (np.array([array[part].mean() for part in parts]) for array in (times, found))
    spread = ((x - x.mean()) ** 2).sum()
    change = ((x - x.mean()) * (y - y.mean())).sum() / spread
    left = y - y.mean() - change * (x - x.mean())
    return float(change), float(_QUANTILE * np.sqrt((left**2).sum() / (len(x) - 2) / spread))


class Traffic:
    """Requests of every kind to one model.

    Args:
        client: of the server.
        card: of the model, as ``/models`` tells it.
        seed: of the texts.
    """

    def __init__(self, client: httpx.AsyncClient, card: dict[str, Any], seed: int = 0) -> None:
        self._client, self._card, self._random = client, card, random.Random(seed)
        self._words = " ".join(part for example in card["examples"] for part in example).split()
        self.counts = Counter[str]()

    def _text(self) -> str:
        count = round(np.clip(self._random.lognormvariate(3.6, 1.0), 1, 600))
        words = self._random.choices(self._words, k=count)
        if (mask := self._card["mask_token"]) is not None:
            words[self._random.randrange(count)] = mask
        return " ".join(words)

    def _inputs(self) -> Any:
        if self._card["task"] == "question_answering":
            return {"question": "which of the two", "context": self._text()}
        return self._text()

    async def ask(self) -> None:
        """Ask once: most requests are right, some are not."""
        kind = self._random.choices(("right", "cancelled", "invalid", "large", "not JSON"), (84, 6, 4, 3, 3))[0]
        body: dict[str, Any] = {"inputs": self._inputs()}
        try:
            if kind == "cancelled":
                await self._client.post("/", json=body, timeout=self._random.uniform(0.0005, 0.02))
            elif kind == "invalid":
                await self._client.post("/", json={**body, "unknown": 1})
            elif kind == "large":
                await self._client.post("/", json={"inputs": "word " * 500_000})
            elif kind == "not JSON":
                await self._client.post("/", content=b'{"inputs": "\xff', headers={"content-type": "application/json"})
            else:
                self.counts[f"right, {(await self._client.post('/', json=body)).status_code}"] += 1
                return
            self.counts[kind] += 1
        except httpx.HTTPError as error:
            wanted = kind == "cancelled" and isinstance(error, httpx.TimeoutException)
            self.counts[kind if wanted else f"{kind}, {type(error).__name__}"] += 1


async def soak(url: str, process: psutil.Process, rate: float, seconds: float) -> tuple[Memory, Counter[str]]:
    """Ask for so long at random times, so many times a second on average, and look at the memory meanwhile."""
    memory, tasks = Memory(), set[asyncio.Task[None]]()
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
        traffic = Traffic(client, (await client.get("/models")).json()[0])
        started, times = time.monotonic(), random.Random(1)
        due, look = 0.0, 0.0
        while (now := time.monotonic() - started) < seconds:
            if now >= look:
                memory.sample(process, now)
                look += max(0.5, seconds / 600)
            if now >= due:
                task = asyncio.create_task(traffic.ask())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                due += times.expovariate(rate)
            await asyncio.sleep(max(0.0, min(due, look) - (time.monotonic() - started)))
        await asyncio.gather(*tasks)
    return memory, traffic.counts


def start(model: Path) -> tuple[subprocess.Popen[str], str]:
    """A server on a free port, and its address."""
    command = [sys.executable, "-m", "pocketbert.cli", "serve", str(model), "--port", "0", "--drain-seconds", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout or ():
        if line.startswith("listening on "):
            return process, line.split()[-1]
    raise PocketBertError(f"{model}: the server did not start; pocketbert serve {model} tells why")


def main() -> None:
    """Run the benchmark."""
    parser = make_parser((__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="a directory that export made", metavar="MODEL")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second, on average")
    options = parser.parse_args()
    seconds = 15.0 if options.short else 60 * options.minutes
    process, url = start(options.model)
    try:
        memory, counts = asyncio.run(soak(url, psutil.Process(process.pid), options.rate, seconds))
    finally:
        process.terminate()
        ended = process.wait(timeout=60)
    totals = [server + worker for server, worker in zip(memory.server, memory.workers, strict=True)]
    series = {"server": memory.server, "worker": memory.workers, "both": totals}
    slopes = {name: slope(memory.seconds, values) for name, values in series.items()}
    report(options.json, slopes, series, counts, seconds, ended)


def report(
    path: Path | None,
    slopes: dict[str, tuple[float, float]],
    series: dict[str, list[float]],
    counts: Counter[str],
    seconds: float,
    ended: int,
) -> None:
    """Print what was found, and write it."""
    print_table(
        f"resident memory over {seconds / 60:.1f} minutes",
        ["process", "first MB", "last MB", "MB an hour", "95 % ±"],
        [
            [name, f"{series[name][0]:.1f}", f"{series[name][-1]:.1f}", f"{change:+.2f}", f"{half:.2f}"]
            for name, (change, half) in slopes.items()
        ],
    )
    print_table("requests", ["kind", "count"], [[kind, f"{count:,}"] for kind, count in sorted(counts.items())])
    console.print(f"the server ended with code {ended}")
    rows = [
        {
            "process": name,
            "mb_an_hour": change,
            "half_interval": half,
            "mb": series[name],
        }
        for name, (change, half) in slopes.items()
    ]
    write_result(path, "soak", slopes["both"][0], "MB an hour", [*rows, {"seconds": seconds, "requests": dict(counts)}])


if __name__ == "__main__":
    call(main)
