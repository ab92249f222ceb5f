"""What a server counts, as Prometheus reads it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TOKENS = (16, 32, 64, 128, 256, 512, 768, 1024, 2048, 4096)
_WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, labels: list[str]) -> Counter:
            return Counter(f"pocketbert_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"pocketbert_{name}", text, ["model"], registry=self.registry)

        def histogram(name: str, text: str, label: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"pocketbert_{name}", text, [label], buckets=buckets, registry=self.registry)

        self.requests = counter("requests", "Requests answered", ["route", "status", "model"])
        self.rejected = counter("rejected", "Requests refused for want of room or time", ["model", "reason"])
        self.restarts = counter("worker_restarts", "Workers replaced", ["model"])
        self.seconds = histogram("request_seconds", "Time of a request", "route", _SECONDS)
        self.queue_seconds = histogram("queue_seconds", "Wait for the model", "model", _SECONDS)
        self.tokenise_seconds = histogram("tokenise_seconds", "Time to read the texts", "model", _SECONDS)
        self.inference_seconds = histogram("inference_seconds", "Time of the model", "model", _SECONDS)
        self.batch_seconds = histogram("batch_seconds", "Time of a batch", "model", _SECONDS)
        self.batch_tokens = histogram("batch_tokens", "Tokens of a batch, padding included", "model", _TOKENS)
        self.batch_windows = histogram("batch_windows", "Windows of a batch", "model", _WINDOWS)
        self.queue_tokens = gauge("queue_tokens", "Tokens that wait for the model")
        self.queue_windows = gauge("queue_windows", "Windows that wait for the model")
        self.ready = gauge("ready", "Whether the model has a worker")

    def render(self) -> bytes:
        """In the text format of Prometheus."""
        return generate_latest(self.registry)


class ModelMetrics:
    """Those of one model.

    Args:
        metrics: of the server.
        model: its name.
    """

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics, self._model = metrics, model
        self._queue_tokens, self._queue_windows = (
            metrics.queue_tokens.labels(model),
            metrics.queue_windows.labels(model),
        )
        self._batch_tokens, self._batch_windows = (
            metrics.batch_tokens.labels(model),
            metrics.batch_windows.labels(model),
        )
        self._batch_seconds, self._ready = metrics.batch_seconds.labels(model), metrics.ready.labels(model)
        self._restarts = metrics.restarts.labels(model)

    def queue(self, windows: int, tokens: int) -> None:
        """What waits now."""
        self._queue_windows.set(windows)
        self._queue_tokens.set(tokens)

    def batch(self, windows: int, tokens: int, seconds: float) -> None:
        """A batch that ran."""
        self._batch_windows.observe(windows)
        self._batch_tokens.observe(tokens)
        self._batch_seconds.observe(seconds)

    def reject(self, reason: str) -> None:
        """A request that was refused."""
        self._metrics.rejected.labels(self._model, reason).inc()

    def ready(self, now: bool) -> None:
        """Whether there is a worker."""
        self._ready.set(now)

    def restart(self) -> None:
        """A worker was replaced."""
        self._restarts.inc()
