"""What is known of a request while it is answered: for its log line, its metrics and the headers of its answer."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Account:
    """Of one request. Holds counts and times, and nothing of anybody's texts.

    Attributes:
        request: its id.
        route: that answers it.
        model: that answers it.
        items: texts or pairs.
        characters: of all of them.
        tokens: that the model read.
        tokenise: seconds.
        queue: seconds.
        inference: seconds.
        truncated: numbers of the inputs of which a part was not read, from 0.
        started: when, by :func:`time.perf_counter`.
    """

    request: str
    route: str = "other"
    model: str = ""
    items: int = 0
    characters: int = 0
    tokens: int = 0
    tokenise: float = 0.0
    queue: float = 0.0
    inference: float = 0.0
    truncated: list[int] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    @property
    def total(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.started

    def headers(self) -> dict[str, str]:
        """As text-embeddings-inference tells them, times in milliseconds; and which inputs were cut."""
        total = str(round(self.total * 1000))
        found = {
            "x-compute-type": "cpu",
            "x-compute-time": total,
            "x-compute-characters": str(self.characters),
            "x-compute-tokens": str(self.tokens),
            "x-total-time": total,
            "x-tokenization-time": str(round(self.tokenise * 1000)),
            "x-queue-time": str(round(self.queue * 1000)),
            "x-inference-time": str(round(self.inference * 1000)),
        }
        if self.truncated:
            found["x-truncated"] = ",".join(map(str, self.truncated))
        return found
