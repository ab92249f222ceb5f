"""Measured values: what scores, speed and size are, as models that write and read JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["teacher", "student", "without_teacher", "majority"]

ROLE_NAMES: dict[str, str] = {
    "teacher": "teacher",
    "student": "student",
    "without_teacher": "student without teacher",
    "majority": "majority class",
}
"""How a person reads a role, in the order of every table."""


class Result(BaseModel):
    """A measured value; not-a-number and infinity are refused, for JSON has neither."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Interval(Result):
    """A 95 % interval."""

    low: float
    high: float


class Ratio(Result):
    """A share of the teacher's score.

    Attributes:
        value: the share; None where it has no meaning.
        interval: its 95 % interval; None where it cannot be told.
        reason: why one of them is absent.
    """

    value: float | None = None
    interval: Interval | None = None
    reason: str | None = None


class Difference(Result):
    """A difference of two scores on the same examples, with its paired 95 % interval."""

    value: float
    interval: Interval


class ModelScores(Result):
    """Quality of one model on one task.

    Attributes:
        metrics: every metric of the task by name; a constant answer has no loss.
        score: the mean of the deciding metrics.
        interval: of the score.
    """

    metrics: dict[str, float]
    score: float
    interval: Interval


class McNemar(Result):
    """McNemar's exact test of teacher against student.

    Attributes:
        teacher_only: examples (hidden tokens of the masked language model) that only the teacher answers right.
        student_only: those that only the student answers right.
        p_value: two-sided probability of a split at least this uneven, were both equally good.
    """

    teacher_only: int
    student_only: int
    p_value: float


class TaskComparison(Result):
    """Teacher, student and baselines on the same examples of one task.

    Attributes:
        name: of the data, for people; comparisons of one name are repeats with other seeds.
        task: the task type.
        examples: how many were answered.
        deciding: names of the metrics whose mean is the score.
        models: scores by role.
        kept: student's score / teacher's.
        kept_above_majority: the same after taking the majority class's score off both.
        agreement: share of examples (words of token classification, hidden tokens of the masked language model) with
            the same answer; the correlation of both for regression.
        gain: student's score less that of the student trained without a teacher.
        mcnemar: None where answers are not simply right or wrong.
        labels: label names, for the confusion matrices.
        confusion: by role, counts of (true label, answered label); empty where there are too many labels.
    """

    name: str
    task: str
    examples: int
    deciding: list[str]
    models: dict[Role, ModelScores]
    kept: Ratio
    kept_above_majority: Ratio
    agreement: float
    gain: Difference | None = None
    mcnemar: McNemar | None = None
    labels: list[str] | None = None
    confusion: dict[Role, list[list[int]]] = Field(default_factory=dict)


class Size(Result):
    """How large a model is: how many weights, and the bytes on disk of the files that are loaded."""

    parameters: int
    bytes: int


class Startup(Result):
    """From nothing to an answer, in a process of its own.

    Attributes:
        load_seconds: from the start of the process until it can answer: interpreter, libraries, tokenizer and model.
        first_answer_seconds: of the first call, in which an engine may still plan.
        peak_bytes: most memory that the process held, after some batches of the sample, libraries included.
    """

    load_seconds: float
    first_answer_seconds: float
    peak_bytes: int


class Shape(Result):
    """The sizes of a model's layers.

    Attributes:
        layers: how many.
        heads: of attention, in each layer.
        feed_forward: neurons of each layer.
        hidden: width of the hidden states.
    """

    layers: int
    heads: int
    feed_forward: int
    hidden: int

    def __str__(self) -> str:
        return f"layers {self.layers}, width {self.hidden}, heads {self.heads}, neurons {self.feed_forward}"


class Spread(Result):
    """Ratios of paired timings: their median, least and greatest."""

    median: float
    low: float
    high: float


class Timing(Result):
    """Speed of one model.

    Attributes:
        latency_p50: median milliseconds of one text at a time.
        latency_p95: the same, 95th percentile.
        tokens_per_second: in batches, padding not counted; the median round.
        texts_per_second: likewise.
        precision: type of the weights, such as ``fp32``.
        engine: what ran it, such as ``torch``.
    """

    latency_p50: float
    latency_p95: float
    tokens_per_second: float
    texts_per_second: float
    precision: str
    engine: str


class Speed(Result):
    """Models timed in turn in one run.

    Attributes:
        models: by name; the first is the reference.
        latency_ratio: reference's time / the model's, one text at a time, pair by pair.
        throughput_ratio: the same in batches.
        latency_rounds: timed calls of each model, one text each.
        throughput_rounds: timed calls of each model, one batch each.
        batch_size: texts per batch.
        tokens_p50: median length of the texts.
        tokens_p95: 95th percentile of the lengths.
        threads: of each engine.
        device: where the models ran.
    """

    models: dict[str, Timing]
    latency_ratio: dict[str, Spread]
    throughput_ratio: dict[str, Spread]
    latency_rounds: int
    throughput_rounds: int
    batch_size: int
    tokens_p50: int
    tokens_p95: int
    threads: int
    device: str


class Candidate(Result):
    """A shape that a search for smaller sizes looked at; what was not measured is absent.

    Attributes:
        shape: the sizes.
        parameters: how many there would be.
        bytes: of the fp32 weights on disk.
        change: mean soft-target loss of its answers against the whole model's, directly after the cut: predicted, or
            measured on training rows where the candidate was run.
        importance: share of the whole model's importance that stays.
        latency_ms: median of one text of the search's length.
        faster: the whole model's latency / the candidate's, timed in turn.
        score: on validation rows, after a short recovery.
        chosen: whether it is what the search ended with.
    """

    shape: Shape
    parameters: int
    bytes: int
    change: float
    importance: float | None = None
    latency_ms: float | None = None
    faster: Spread | None = None
    score: float | None = None
    chosen: bool = False


class Frontier(Result):
    """What a search for smaller sizes found: each candidate changes the answers less than all that cost less.

    Attributes:
        candidates: by rising cost; the last is the whole model.
        cost: what they are ordered by.
        tokens: of the text that latencies are about.
    """

    candidates: list[Candidate]
    cost: Literal["bytes", "latency"]
    tokens: int


class Weighed(Result):
    """A model before or after a pruning.

    Attributes:
        shape: its sizes.
        parameters: how many it has.
        bytes: of its fp32 weights on disk.
        score: on the validation rows.
    """

    shape: Shape
    parameters: int
    bytes: int
    score: float


class Outcome(Result):
    """A pruning, measured.

    Attributes:
        unpruned: the model as it came.
        pruned: the model after recovery.
        cut: score on the validation rows directly after the parts were taken out.
        kept: the pruned model's score / the unpruned one's; None where that has no meaning.
        importance: share of the importance that stays.
        speed: of both, timed in turn on validation rows.
    """

    unpruned: Weighed
    pruned: Weighed
    cut: float
    kept: float | None
    importance: float
    speed: Speed


class Evaluation(Result):
    """One model on one task.

    Attributes:
        model: the directory.
        task: the task type.
        examples: how many were answered.
        metrics: all of them by name.
        majority: the same of the best constant answer.
        deciding: names of the metrics whose mean is the score.
        score: the mean of the deciding metrics.
        interval: 95 %, from the bootstrap.
        truncated: examples that lost text to ``max_length``.
        notes: what was guessed and skipped.
    """

    model: str
    task: str
    examples: int
    metrics: dict[str, float]
    majority: dict[str, float]
    deciding: list[str]
    score: float
    interval: Interval
    truncated: int
    notes: list[str]


class Comparison(Result):
    """Teacher against student: quality, size and speed, measured in one run.

    Attributes:
        key: hash of models, data and options.
        quality: scores, intervals, what was kept.
        sizes: by role.
        speed: of teacher and student, in turn.
        notes: what was guessed and skipped.
    """

    key: str
    quality: TaskComparison
    sizes: dict[Role, Size]
    speed: Speed
    notes: list[str]
