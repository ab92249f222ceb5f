import subprocess
import sys

import pytest

from pocketbert.errors import PocketBertError
from pocketbert.recipe import Data
from pocketbert.tasks.registry import make_task


@pytest.mark.parametrize(
    ("task", "head", "deciding"),
    [
        ("classification", "SequenceClassification", ["accuracy"]),
        ("multi_label", "SequenceClassification", ["micro_f1"]),
        ("regression", "SequenceClassification", ["pearson", "spearman"]),
        ("token_classification", "TokenClassification", ["span_f1"]),
        ("question_answering", "QuestionAnswering", ["answer_f1"]),
    ],
)
def test_each_task_has_its_head_and_usual_metrics(task, head, deciding):
    made = make_task(Data(task=task))
    assert (made.name, made.head, made.deciding) == (task, head, deciding)


def test_the_recipe_decides_before_the_layout():
    assert make_task(Data(task="classification", layout="cola")).deciding == ["matthews"]
    assert make_task(Data(task="classification", layout="cola", metric="accuracy")).deciding == ["accuracy"]
    assert make_task(Data(task="classification", layout="mnli")).labels[0] == "entailment"
    assert make_task(Data(task="classification", layout="mnli", labels=["x", "y", "z"])).labels == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "masked_lm"}, "masked_lm has text instead of rows: name it as `corpus`"),
        ({"task": "regression", "metric": "accuracy"}, "regression has no accuracy; choose among pearson, spearman"),
        ({"task": "classification", "metric": ["accuracy", "span_f1"]}, "classification has no span_f1"),
        ({"task": "classification", "layout": "stsb"}, "stsb is of the task regression, not classification"),
        ({"task": "classification", "layout": "mnli", "metric": "f1"}, "not of 3; set macro_f1"),
    ],
)
def test_choices_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(PocketBertError, match=message):
        make_task(Data(**fields))


def test_tasks_import_neither_torch_nor_transformers():
    code = "import sys, pocketbert.tasks; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
