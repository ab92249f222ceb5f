"""Running an engine over the encoded rows of a task."""

from typing import Any

from pocketbert.distill.prediction import batches_by_length
from pocketbert.engines.base import Engine, Logits
from pocketbert.tasks.base import Encoded, Task, collate


def answer_rows(engine: Engine, task: Task, encoded: Encoded) -> list[Any]:
    """One prediction an example, like :func:`~pocketbert.distill.prediction.predict` for a torch model.

    Args:
        engine: runs the model; its labels are in the order of the task's.
        task: decodes the logits.
        encoded: rows of the task.
    """
    inputs = [{name: values for name, values in each.items() if name in engine.inputs} for each in encoded.features]
    logits: list[Logits | None] = [None] * len(inputs)
    for rows in batches_by_length([len(each["input_ids"]) for each in inputs]):
        answers = engine.run(collate([inputs[row] for row in rows], engine.description.pad_token_id))
        for row, values in zip(rows, answers, strict=True):
            logits[row] = values[: len(inputs[row]["input_ids"])] if values.ndim > 1 else values
    return task.decode([values for values in logits if values is not None], encoded)
