"""What can be asked of bulk scoring: one definition for the command line and for Python."""

from typing import Any, Literal

from pydantic import Field

from pocketbert.engines.description import Precision
from pocketbert.machine import MOST_THREADS
from pocketbert.recipe import Section

InputFormat = Literal["parquet", "csv", "tsv", "jsonl"]

HERE = {"engine", "workers", "address", "threads", "max_failed"}
"""Options that say how a run goes about it and change none of its bytes: it can go on with others."""

_ASKED = ("top_k", "threshold", "too_long", "labels", "hypothesis", "multi_label", "normalise", "no_answer")
"""Options of the pipeline, by the same names."""


class PredictOptions(Section):
    """Options of ``predict``; what is absent is as the pipeline of the task has it."""

    text: str | None = Field(None, description="column of the text; guessed when absent")
    pair: str | None = Field(None, description="column of the second text of a pair")
    question: str | None = Field(None, description="column of the question (question answering)")
    context: str | None = Field(None, description="column of the context (question answering)")
    tokens: str | None = Field(None, description="column of a row's words (token classification)")
    input_format: InputFormat | None = Field(None, description="of the input; its ending tells when absent")
    prefix: str = Field("", description="before the names of the new columns")
    task: Literal["zero_shot"] | None = Field(None, description="labels of one's own; what the model says when absent")
    labels: list[str] | None = Field(None, description="to choose among (zero_shot)")
    hypothesis: str | None = Field(None, description="the sentence that a label makes true (zero_shot)")
    multi_label: bool | None = Field(None, description="whether several labels may fit (zero_shot)")
    top_k: int | None = Field(None, ge=1, description="scores, answers or guesses a row")
    threshold: float | None = Field(None, ge=0, le=1, description="from which score on a label is given (multi_label)")
    too_long: Literal["windows", "truncate"] | None = Field(
        None, description="whether long texts are read in windows or cut"
    )
    normalise: bool | None = Field(None, description="whether vectors have length 1 (embedding)")
    no_answer: bool | None = Field(None, description="whether a context may have no answer (question answering)")
    runtime: Literal["auto", "onnxruntime", "openvino"] = Field("auto", description="which library runs the model")
    precision: Precision | None = Field(None, description="of the file that runs; the fastest when absent")
    threads: int | None = Field(
        None, ge=1, le=MOST_THREADS, description="of the runtime; all granted cores when absent"
    )
    part_rows: int = Field(8192, ge=1, description="rows that are computed and kept together")
    max_failed: int | None = Field(None, ge=0, description="failed rows from which on nothing is put together")
    engine: Literal["local", "ray"] = Field("local", description="where it runs: on this machine, or on a Ray cluster")
    workers: int = Field(2, ge=1, description="processes that share the work (ray)")
    address: str | None = Field(None, description="of the Ray cluster; one on this machine when absent")

    def asked(self) -> dict[str, Any]:
        """What the pipeline is asked for, by name."""
        return {name: value for name in _ASKED if (value := getattr(self, name)) is not None}

    def shaping(self) -> dict[str, Any]:
        """What the bytes of the output depend on, as JSON has it."""
        return self.model_dump(mode="json", exclude=HERE)
