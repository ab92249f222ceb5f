"""Which tasks the table has, how long each is learnt, and what the paper reports for it.

A task that ``benchmarks/results.py`` has is learnt as there. The lengths and rates of the others were not searched.
"""

from typing import Any

from pocketbert.recipe import Data, TaskName
from results import SETTINGS, Setting


def _rows(task: TaskName, train: str, test: str, **fields: Any) -> Data:
    return Data(task=task, train=[train], test=[test], **fields)


def _classified(train: str, test: str, **fields: Any) -> Data:
    return _rows("classification", train, test, **fields)


RTE = _classified("glue/RTE/train.tsv", "glue/RTE/dev.tsv", layout="rte", max_length=256)
WNLI = _classified("glue/WNLI/train.tsv", "glue/WNLI/dev.tsv", layout="wnli")
MNLI = _classified("glue/MNLI/train_sample_16k.jsonl", "glue/MNLI/dev_matched.jsonl", layout="mnli")
QNLI = _classified("QNLI/train.tsv", "QNLI/test.tsv", validation=["QNLI/val.tsv"], layout="qnli")
COLA = _classified("glue/CoLA/train.tsv", "glue/CoLA/dev.tsv", layout="cola", max_length=64)
NAMED = {"text": "text", "label": "label"}
IMDB = _classified("imdb/imdb.train.jsonl.zst", "imdb/imdb.test.jsonl.zst", **NAMED, max_length=256)
CLINC150 = _classified(
    "CLINC150/train.jsonl", "CLINC150/test.jsonl", validation=["CLINC150/val.jsonl"], **NAMED, max_length=32
)
WNUT17 = _rows(
    "token_classification",
    "ner/wnut17/wnut17train.conll",
    "ner/wnut17/emerging.test.annotated",
    validation=["ner/wnut17/emerging.dev.conll"],
    layout="conll",
)
SQUAD = _rows(
    "question_answering",
    "squad/train-sample-8k.json",
    "squad/dev-v1.1.json",
    layout="squad",
    max_length=256,
    stride=64,
)

TASKS = {
    "CoLA": Setting(COLA, 4, 4, learning_rate=2e-4),
    "SST-2": SETTINGS["SST-2"],
    "MRPC": SETTINGS["MRPC"],
    "STS-B": SETTINGS["STS-B"],
    "MNLI": Setting(MNLI, 3, 3, learning_rate=3e-4, pairs=True),
    "QNLI": Setting(QNLI, 3, 3, learning_rate=3e-4, pairs=True),
    "RTE": Setting(RTE, 3, 3, learning_rate=1e-4, pairs=True),
    "WNLI": Setting(WNLI, 3, 3, learning_rate=1e-4, pairs=True),
    "WNUT-17": Setting(WNUT17, 10, 5, learning_rate=3e-4),
    "SNIPS-slots": SETTINGS["SNIPS-slots"],
    "CLINC150": Setting(CLINC150, 10, 10, learning_rate=1e-3, batch_size=64),
    "AG-News": SETTINGS["AG-News"],
    "SQuAD": Setting(SQUAD, 3, 3, pairs=True),
    "IMDb": Setting(IMDB, 2, 2),
}
"""Epochs of the teacher, then of the student. What takes longest comes last: a short budget has to do without it."""

GLUE = frozenset({"CoLA", "SST-2", "MRPC", "STS-B", "MNLI", "QNLI", "RTE", "WNLI"})
SMALL = frozenset({"CoLA", "MRPC", "STS-B", "RTE", "WNLI"})
"""Tasks with so few rows that one seed says little."""
SMALL_SEEDS = 5

PAPER = {
    "CoLA": (56.3, 51.3),
    "SST-2": (92.7, 91.3),
    "MRPC": (88.6, 87.5),
    "STS-B": (89.0, 86.9),
    # The paper's table says 86.7; 84.7, which the authors' page says, is what makes the mean of nine tasks 79.5.
    "MNLI": (84.7, 82.2),
    "QNLI": (91.8, 89.2),
    "RTE": (69.3, 59.9),
    "WNLI": (53.5, 56.3),
    "SQuAD": (88.5, 85.8),
    "IMDb": (93.46, 92.82),
}
"""BERT-base and DistilBERT in per cent, the student fine-tuned on labels alone (Sanh et al. 2019, tables 1 and 2)."""
PAPER_DISTILLED = {"SQuAD": (88.5, 86.9)}
"""The same with task distillation, which the paper has for SQuAD alone."""
