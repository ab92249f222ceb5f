"""What is to be exported: a model, the answer it gives, and the rows it is held against."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pocketbert.distill.rows import TaskRows, check_purpose, label_order, named_labels, read_rows, read_test_rows
from pocketbert.engines.description import Description
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.manifest import hash_weights
from pocketbert.models.answering import Answering
from pocketbert.models.loading import LoadedModel, check_safe, load_model, max_positions
from pocketbert.recipe import Data, ExportStage
from pocketbert.tasks import TASKS
from pocketbert.tasks.base import Example

_HEADS = {
    "ForTokenClassification": "token_classification",
    "ForQuestionAnswering": "question_answering",
    "ForMaskedLM": "masked_lm",
}
_PROBLEMS = {kind.problem_type: name for name, kind in TASKS.items() if kind.problem_type}


@dataclass(frozen=True)
class Subject:
    """A model on its way into files.

    Attributes:
        loaded: model and tokenizer.
        module: the model reduced to its answer.
        description: of the fp32 file.
        rows: held-out rows of its task, in the order of its labels; None where no data was named.
    """

    loaded: LoadedModel
    module: Answering
    description: Description
    rows: TaskRows | None

    @property
    def role(self) -> Literal["validation", "test"]:
        """Whose rows are held against the file: those for validation, else those for the test."""
        return "validation" if self.rows is not None and self.rows.validation else "test"

    @property
    def held_out(self) -> list[Example]:
        """The rows of this role; none where no data was named."""
        return getattr(self.rows, self.role) if self.rows is not None else []

    @property
    def pairs(self) -> bool:
        """Whether the rows are pairs of texts."""
        return any(row.pair is not None for row in self.held_out[:1])


def read_subject(options: ExportStage, model: str, data: Data | None) -> Subject:
    """Load what is to be exported.

    Args:
        options: pooling, where an embedding is meant instead of the head; length.
        model: its directory.
        data: the task and its rows, or None.

    Raises:
        ModelError: it has no such head, or its task cannot be told.
        PocketBertError: data and model are of different tasks, or the length is more than it takes.
    """
    task = "embedding" if options.pooling else task_of(model)
    if data is not None and data.task != task:
        raise PocketBertError(f"export: {model} answers {task}, but data.task is {data.task}; leave the data out")
    head = "" if task == "embedding" else "MaskedLM" if task == "masked_lm" else TASKS[task].head
    loaded = load_model(model, head)
    rows = _read_rows(data, loaded) if data is not None else None
    description = Description(
        task=task,
        labels=_labels(loaded, rows, task),
        max_length=_max_length(options, data, loaded),
        pad_token_id=loaded.tokenizer.pad_token_id or 0,
        pooling=options.pooling,
        weights=hash_weights(model),
    )
    module = Answering(loaded.model, loaded.tokenizer.model_input_names, options.pooling)
    return Subject(loaded, module, description, rows)


def task_of(model: str) -> str:
    """The task that a model directory was trained for, from its ``config.json``.

    Raises:
        ModelError: it cannot be told.
    """
    check_safe(model)
    config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    architecture = (config.get("architectures") or [""])[0]
    for ending, task in _HEADS.items():
        if architecture.endswith(ending):
            return task
    if not architecture.endswith("ForSequenceClassification"):
        raise ModelError(
            f"{model}: {architecture or 'a model of no known architecture'} has no head that says what it answers; "
            "set pooling to make an embedding of it"
        )
    labels = config.get("num_labels") or len(config.get("id2label") or (0, 1))
    return _PROBLEMS.get(config.get("problem_type")) or ("regression" if labels == 1 else "classification")


def _read_rows(data: Data, loaded: LoadedModel) -> TaskRows:
    if data.train:
        rows = read_rows(data, loaded)
    else:
        labels = named_labels(loaded)
        rows = read_test_rows(data.model_copy(update={"labels": labels or data.labels}), labels)
    check_purpose(rows.task, loaded)
    return rows


def _labels(loaded: LoadedModel, rows: TaskRows | None, task: str) -> list[str] | None:
    """Names in the order of the logits; a model that only numbers its labels takes those of the data."""
    if task in ("regression", "question_answering", "masked_lm", "embedding"):
        return None
    theirs = label_order(rows.task, loaded) if rows is not None else None
    config = loaded.model.config
    return theirs or [config.id2label[number] for number in range(config.num_labels)]


def _max_length(options: ExportStage, data: Data | None, loaded: LoadedModel) -> int:
    limit = min(max_positions(loaded.model.config), loaded.tokenizer.model_max_length)
    wanted = options.max_length or (data.max_length if data else limit)
    if wanted > limit:
        raise PocketBertError(f"export: max_length {wanted} is more than the {limit} tokens that {loaded.source} takes")
    return wanted
