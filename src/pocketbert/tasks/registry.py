"""The task types by name."""

from pocketbert.errors import PocketBertError
from pocketbert.recipe import Data
from pocketbert.tasks.base import Task
from pocketbert.tasks.classification import Classification
from pocketbert.tasks.embedding import Embedding
from pocketbert.tasks.multi_label import MultiLabel
from pocketbert.tasks.question_answering import QuestionAnswering
from pocketbert.tasks.regression import Regression
from pocketbert.tasks.token_classification import TokenClassification

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (Classification, MultiLabel, Regression, TokenClassification, QuestionAnswering, Embedding)
}
"""Task types by the names that recipes use; the masked language model has text instead of rows."""


def make_task(data: Data) -> Task:
    """The task that a data section describes.

    Raises:
        PocketBertError: the task has no rows, or layout or metric do not fit it.
    """
    if data.task not in TASKS:
        raise PocketBertError(
            f"data.task: {data.task} has text instead of rows: name it as `corpus` of pretrain or distill; "
            "evaluate alone takes it as data"
        )
    return TASKS[data.task](data)
