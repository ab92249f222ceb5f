"""What is to be exported: a model, the answer it gives, and the rows it is held against."""

from dataclasses import dataclass
from typing import Literal

from transformers import AutoConfig

from pocketbert.distill.rows import TaskRows, check_purpose, label_order, named_labels, read_rows, read_test_rows
from pocketbert.engines.description import Description
from pocketbert.errors import PocketBertError
from pocketbert.manifest import hash_weights
from pocketbert.models.answering import Answering
from pocketbert.models.describing import EMBEDDING, HEADS, describe, own_task
from pocketbert.models.loading import LoadedModel, check_safe, load_model, max_positions
from pocketbert.recipe import Data, ExportStage
from pocketbert.tasks.base import Example


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
        if self.rows is None:
            return []
        return self.rows.validation or self.rows.test

    @property
    def pairs(self) -> bool:
        """Whether the rows are pairs of texts that are read as one."""
        return self.description.task != EMBEDDING and any(row.pair is not None for row in self.held_out[:1])


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
    check_safe(model)
    config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    task = EMBEDDING if options.pooling else own_task(config, model)
    if data is not None and data.task != task:
        raise PocketBertError(f"export: {model} answers {task}, but data.task is {data.task}; leave the data out")
    loaded = load_model(model, HEADS[task], need_head=task != EMBEDDING)
    rows = _read_rows(data, loaded) if data is not None else None
    told = describe(loaded.model, task, options.pooling or "mean")
    description = told.model_copy(
        update={
            "labels": (label_order(rows.task, loaded) if rows is not None else None) or told.labels,
            "max_length": _max_length(options, data, loaded),
            "weights": hash_weights(model),
        }
    )
    module = Answering(loaded.model, loaded.tokenizer.model_input_names, description.pooling)
    return Subject(loaded, module, description, rows)


def _read_rows(data: Data, loaded: LoadedModel) -> TaskRows:
    if data.train:
        rows = read_rows(data, loaded)
    else:
        labels = named_labels(loaded)
        rows = read_test_rows(data.model_copy(update={"labels": labels or data.labels}), labels)
    check_purpose(rows.task, loaded)
    return rows


def _max_length(options: ExportStage, data: Data | None, loaded: LoadedModel) -> int:
    limit = min(max_positions(loaded.model.config), loaded.tokenizer.model_max_length)
    wanted = data.max_length if data else options.max_length or limit
    if wanted > limit:
        raise PocketBertError(f"export: max_length {wanted} is more than the {limit} tokens that {loaded.source} takes")
    return wanted
