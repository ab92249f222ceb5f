"""What a bench measured, as models that write and read JSON."""

from datetime import UTC, datetime

from pydantic import Field

from pocketbert.machine import Machine, describe_machine
from pocketbert.measure.results import ModelScores, Ratio, Result, Size, Spread, Startup


class Latency(Result):
    """Calls of one shape.

    Attributes:
        tokens: of each text, special tokens included; none is padding.
        batch_size: texts of a call.
        threads: of the engine.
        rounds: timed calls.
        p50: median milliseconds of a call.
        p95: 95th percentile; None of fewer than 20 calls, which do not tell it.
        p99: 99th percentile; None of fewer than 100 calls.
        ratio: the reference's time / this model's, round by round; None for the reference.
    """

    tokens: int
    batch_size: int
    threads: int
    rounds: int
    p50: float
    p95: float | None = None
    p99: float | None = None
    ratio: Spread | None = None


class Throughput(Result):
    """The mixed sample, from its first text to its last.

    Attributes:
        threads: of the engine.
        rounds: how often the sample was run.
        texts_per_second: the median round; tokenisation is not timed.
        tokens_per_second: likewise, padding not counted.
        joules: of the processor packages for 1,000 texts, the median round; None where the machine does not expose it.
        ratio: the reference's time / this model's, round by round; None for the reference.
    """

    threads: int
    rounds: int
    texts_per_second: float
    tokens_per_second: float
    joules: float | None = None
    ratio: Spread | None = None


class BenchedModel(Result):
    """One model of a bench.

    Attributes:
        name: short, for tables and plots.
        reference: the model directory or file.
        engine: what ran it.
        precision: of its weights and arithmetic.
        size: parameters, and bytes of the files that are loaded.
        startup: load time, first answer, memory.
        latency: by shape and threads.
        throughput: by threads.
        quality: scores on the rows of the data; None without data.
        kept: share of the reference's score; None without data, and for the reference.
        agreement: share of the answers that are the reference's (for regression their correlation); likewise.
    """

    name: str
    reference: str
    engine: str
    precision: str
    size: Size
    startup: Startup
    latency: list[Latency]
    throughput: list[Throughput]
    quality: ModelScores | None = None
    kept: Ratio | None = None
    agreement: float | None = None

    def latency_at(self, tokens: int, batch_size: int, threads: int) -> Latency | None:
        """The calls of one shape, where they were timed."""
        shape = (tokens, batch_size, threads)
        return next((each for each in self.latency if (each.tokens, each.batch_size, each.threads) == shape), None)


class Sample(Result):
    """The texts of the throughput.

    Attributes:
        source: where they come from.
        texts: how many.
        tokens_p50: median length, by the reference's tokenizer.
        tokens_p95: 95th percentile of the lengths.
        batch_tokens: most tokens of a batch, padding included; texts are sorted by length first.
    """

    source: str
    texts: int
    tokens_p50: int
    tokens_p95: int
    batch_tokens: int


class Bench(Result):
    """Models measured side by side in one run.

    Attributes:
        models: the reference of all ratios first.
        sample: the texts of the throughput.
        lengths: tokens of a text, in rising order.
        batch_sizes: texts of a call, likewise.
        threads: of the engines, likewise.
        task: the task type of the rows that the scores are of; None without data.
        examples: how many rows the scores are of; None without data.
        deciding: names of the metrics whose mean is the score.
        seconds: that timing took.
        notes: what was guessed, skipped or could not be measured.
        machine: that ran it.
        created: when, in UTC.
    """

    models: list[BenchedModel]
    sample: Sample
    lengths: list[int]
    batch_sizes: list[int]
    threads: list[int]
    task: str | None = None
    examples: int | None = None
    deciding: list[str] = Field(default_factory=list)
    seconds: float
    notes: list[str]
    machine: Machine = Field(default_factory=describe_machine)
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
