"""The objective of each task, against the golden formulas on rows picked by hand."""

import golden
import numpy as np
import pytest
import torch

from pocketbert.data.records import IGNORED, UNKNOWN
from pocketbert.distill.matching import Models, Shape
from pocketbert.distill.objective import Counts, Objective
from pocketbert.distill.signals import Needs, Signals
from pocketbert.models.inside import Inside, Seen
from pocketbert.models.undecoded import Undecoded
from pocketbert.recipe import Losses

RANDOM = np.random.default_rng(0)
BATCH, TOKENS, WIDTH, CLASSES = 3, 5, 4, 6
LAST = 1
"""Number of the last layer of both models."""
MODELS = Models(*[Shape(layers=LAST + 1, width=WIDTH, heads=2)] * 2)
HIDDEN = RANDOM.normal(size=(2, BATCH, TOKENS, WIDTH))
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
REAL = MASK.astype(bool)


def tensor(values):
    return torch.from_numpy(np.asarray(values))


def batch(labels, mask=MASK):
    made = {"input_ids": torch.zeros(BATCH, TOKENS, dtype=torch.long), "labels": tensor(labels)}
    return made if mask is None else made | {"attention_mask": tensor(mask)}


def said(objective, logits):
    """Logits of a vocabulary come undecoded: here by a weight that leaves them as they are."""
    if objective.task != "masked_lm":
        return tensor(logits)
    return Undecoded(tensor(logits), torch.eye(CLASSES, dtype=torch.float64), None)


def evaluate(objective, student, teacher, made):
    """The parts, averaged over the batch itself."""
    counts = Counts(*objective.counts(made))
    own = Signals(said(objective, student) if objective.answers else None, Seen({LAST: tensor(HIDDEN[0])}))
    theirs = Signals(said(objective, teacher) if objective.needs.logits else None, Seen({LAST: tensor(HIDDEN[1])}))
    total, parts = objective(own, theirs, made, counts)
    weighed = sum(getattr(objective.weights, name) * value for name, value in parts.items())
    assert total.item() == pytest.approx(weighed.item(), rel=1e-6)
    return {name: value.item() for name, value in parts.items()}


def test_masked_lm_counts_masked_tokens():
    labels = np.full((BATCH, TOKENS), IGNORED)
    labels[0, 1], labels[0, 3], labels[2, 1] = 4, 0, 5
    student, teacher = RANDOM.normal(size=(2, 3, CLASSES))
    objective = Objective("masked_lm", Losses(soft_targets=1, masked_lm=1, cosine=1, logit_mse=1), 2.0, models=MODELS)
    made = batch(labels)
    assert objective.positions(made).tolist() == [1, 3, 11]
    assert objective.counts(made).tolist() == [3, 3, 10, 3]
    assert evaluate(objective, student, teacher, made) == pytest.approx(
        {
            "masked_lm": golden.cross_entropy(student, np.array([4, 0, 5])),
            "soft_targets": golden.soft_targets(student, teacher, 2.0),
            "logit_mse": golden.squared_error(student, teacher),
            "cosine": golden.cosine_distance(HIDDEN[0][REAL], HIDDEN[1][REAL]),
        },
        rel=1e-5,
    )


def test_masked_lm_can_compare_all_real_tokens():
    labels = np.full((BATCH, TOKENS), IGNORED)
    labels[0, 1], labels[2, 1] = 4, 5
    student, teacher = RANDOM.normal(size=(2, 10, CLASSES))
    objective = Objective("masked_lm", Losses(soft_targets=1, masked_lm=1), 3.0, "all")
    made = batch(labels)
    assert objective.positions(made).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 10, 11]
    assert objective.counts(made).tolist() == [2, 10, 10, 3]
    # Real tokens in order: five of the first row, three of the second, two of the third.
    assert evaluate(objective, student, teacher, made) == pytest.approx(
        {
            "masked_lm": golden.cross_entropy(student[[1, 9]], np.array([4, 5])),
            "soft_targets": golden.soft_targets(student, teacher, 3.0),
        },
        rel=1e-5,
    )


def test_full_blocks_need_no_mask():
    labels = np.full((BATCH, TOKENS), IGNORED)
    labels[0, 1] = 4
    objective = Objective("masked_lm", Losses(cosine=1), models=MODELS)
    made = batch(labels, mask=None)
    assert objective.counts(made).tolist() == [1, 1, 15, 3]
    found = evaluate(objective, np.zeros((1, CLASSES)), None, made)
    assert found["cosine"] == pytest.approx(
        golden.cosine_distance(HIDDEN[0].reshape(-1, WIDTH), HIDDEN[1].reshape(-1, WIDTH)), rel=1e-5
    )


def test_token_classification_counts_labelled_tokens():
    labels = np.full((BATCH, TOKENS), IGNORED)
    labels[0, 1], labels[1, 2] = 3, 0
    student, teacher = RANDOM.normal(size=(2, BATCH, TOKENS, CLASSES))
    objective = Objective("token_classification", Losses(soft_targets=1, labels=1), 2.0)
    made = batch(labels)
    counted = labels != IGNORED
    assert objective.positions(made) is None
    assert objective.counts(made).tolist() == [2, 2, 10, 3]
    assert evaluate(objective, student, teacher, made) == pytest.approx(
        {
            "labels": golden.cross_entropy(student[counted], np.array([3, 0])),
            "soft_targets": golden.soft_targets(student[counted], teacher[counted], 2.0),
        },
        rel=1e-5,
    )


def test_classification_counts_rows():
    student, teacher = RANDOM.normal(size=(2, BATCH, CLASSES))
    labels = np.array([0, 5, 2])
    objective = Objective("classification", Losses(soft_targets=1, labels=1, logit_mse=1), 4.0)
    made = batch(labels)
    assert objective.counts(made).tolist() == [3, 3, 10, 3]
    assert evaluate(objective, student, teacher, made) == pytest.approx(
        {
            "labels": golden.cross_entropy(student, labels),
            "soft_targets": golden.soft_targets(student, teacher, 4.0),
            "logit_mse": golden.squared_error(student, teacher),
        },
        rel=1e-5,
    )


def test_several_labels_are_yes_or_no_each():
    student, teacher = RANDOM.normal(size=(2, BATCH, CLASSES))
    labels = RANDOM.integers(0, 2, (BATCH, CLASSES)).astype(np.float32)
    objective = Objective("multi_label", Losses(soft_targets=1, labels=1), 2.0)
    assert evaluate(objective, student, teacher, batch(labels)) == pytest.approx(
        {
            "labels": golden.binary_cross_entropy(student, labels),
            "soft_targets": golden.binary_soft_targets(student, teacher, 2.0),
        },
        rel=1e-5,
    )


def test_regression_takes_the_teachers_value_for_a_soft_target():
    student, teacher = RANDOM.normal(size=(2, BATCH, 1))
    labels = np.array([0.5, 2.0, 4.5], dtype=np.float32)
    objective = Objective("regression", Losses(soft_targets=1, labels=1), 2.0)
    assert evaluate(objective, student, teacher, batch(labels)) == pytest.approx(
        {
            "labels": golden.squared_error(student, labels[:, None]),
            "soft_targets": golden.squared_error(student, teacher),
        },
        rel=1e-5,
    )


def test_answers_are_distributions_over_the_real_tokens():
    student, teacher = RANDOM.normal(size=(2, BATCH, TOKENS, 2))
    labels = np.array([[1, 3], [0, 0], [1, 1]])
    objective = Objective("question_answering", Losses(soft_targets=1, labels=1, logit_mse=1), 2.0)
    made = batch(labels)
    assert objective.counts(made).tolist() == [6, 6, 10, 3]
    ends = [(row, end) for row in range(BATCH) for end in (0, 1)]
    entropy = [golden.cross_entropy(student[row, REAL[row], end][None], labels[row, [end]]) for row, end in ends]
    soft = [
        golden.soft_targets(student[row, REAL[row], end][None], teacher[row, REAL[row], end][None], 2.0)
        for row, end in ends
    ]
    errors = [golden.squared_error(student[row, REAL[row], end], teacher[row, REAL[row], end]) for row, end in ends]
    assert evaluate(objective, student, teacher, made) == pytest.approx(
        {"labels": np.mean(entropy), "soft_targets": np.mean(soft), "logit_mse": np.mean(errors)}, rel=1e-5
    )


@pytest.mark.parametrize(
    ("weights", "needs"),
    [
        (Losses(masked_lm=1), Needs()),
        (Losses(soft_targets=1), Needs(logits=True)),
        (Losses(logit_mse=1), Needs(logits=True)),
        (Losses(cosine=1, masked_lm=1), Needs(inside=Inside(states=frozenset({LAST})))),
    ],
)
def test_a_teacher_is_asked_for_what_the_losses_need(weights, needs):
    assert Objective("masked_lm", weights, models=MODELS).needs == needs
    assert bool(needs) is (needs != Needs())


ROW_LABELS = {
    "classification": ([0, UNKNOWN, 2], golden.cross_entropy),
    "multi_label": (np.where([[False], [True], [False]], np.nan, np.eye(3, CLASSES)), golden.binary_cross_entropy),
}


@pytest.mark.parametrize("task", ROW_LABELS)
def test_rows_without_a_label_have_soft_targets_alone(task):
    labels, formula = ROW_LABELS[task]
    student, teacher = RANDOM.normal(size=(2, BATCH, CLASSES))
    made = batch(np.asarray(labels))
    objective = Objective(task, Losses(soft_targets=1, labels=1), 2.0)
    assert objective.counts(made).tolist() == [2, 3, 10, 3]
    known = [0, 2]
    soft = golden.binary_soft_targets if task == "multi_label" else golden.soft_targets
    assert evaluate(objective, student, teacher, made) == pytest.approx(
        {"labels": formula(student[known], np.asarray(labels)[known]), "soft_targets": soft(student, teacher, 2.0)},
        rel=1e-5,
    )


def test_numbers_tags_and_answers_may_be_unknown():
    student, teacher = RANDOM.normal(size=(2, BATCH, 1))
    made = batch(np.array([0.5, np.nan, 4.5], dtype=np.float32))
    objective = Objective("regression", Losses(soft_targets=1, labels=1), 2.0)
    assert objective.counts(made).tolist() == [2, 3, 10, 3]
    assert evaluate(objective, student, teacher, made) == pytest.approx(
        {
            "labels": golden.squared_error(student[[0, 2]], np.array([[0.5], [4.5]])),
            "soft_targets": golden.squared_error(student, teacher),
        },
        rel=1e-5,
    )
    tags = np.full((BATCH, TOKENS), IGNORED)
    tags[0, 1], tags[1, 1] = 3, UNKNOWN
    student, teacher = RANDOM.normal(size=(2, BATCH, TOKENS, CLASSES))
    objective = Objective("token_classification", Losses(soft_targets=1, labels=1), 2.0)
    assert objective.counts(batch(tags)).tolist() == [1, 2, 10, 3]
    assert evaluate(objective, student, teacher, batch(tags)) == pytest.approx(
        {
            "labels": golden.cross_entropy(student[0, [1]], np.array([3])),
            "soft_targets": golden.soft_targets(student[[0, 1], 1], teacher[[0, 1], 1], 2.0),
        },
        rel=1e-5,
    )
    answers = Objective("question_answering", Losses(labels=1))
    assert answers.counts(batch([[1, 3], [UNKNOWN, UNKNOWN], [0, 0]])).tolist() == [4, 6, 10, 3]
