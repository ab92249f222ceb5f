"""A step is a step, in however many passes it is made."""

import jobs
import pytest

from pocketbert.recipe import Losses, Student

SPLITS = [(8, 1), (4, 2), (2, 4)]


def compare(make):
    """All splits of a step of eight, against the first."""
    runs = [jobs.run(make(batch_size, accumulation)) for batch_size, accumulation in SPLITS]
    start = make(8, 1).model.state_dict()
    assert len(runs[0][0]) == 6
    assert max((runs[0][1][name] - start[name]).abs().max().item() for name in start) > 1e-4, "nothing was learnt"
    for other in runs[1:]:
        losses, weights = jobs.differences(runs[0], other)
        assert losses < 1e-6 and weights < 1e-6


@pytest.mark.parametrize("soft_positions", ["masked", "all"])
def test_accumulation_of_masked_lm_distillation(tmp_path, soft_positions):
    losses = Losses(soft_targets=0.5, masked_lm=0.2, cosine=0.1)
    compare(
        lambda batch_size, accumulation: jobs.masked_lm_job(
            tmp_path / f"{batch_size}",
            losses,
            soft_positions,
            batch_size=batch_size,
            accumulation=accumulation,
            steps=6,
            learning_rate=1e-4,
        )
    )


def test_accumulation_of_losses_of_the_inside(tmp_path):
    """All but those that compare the texts of a pass with one another; the student has another width."""
    names = ("hidden", "embeddings", "relations", "value_relations", "attention_scores", "attention_maps")
    losses = Losses(**dict.fromkeys((*names, "representations"), 0.1))
    compare(
        lambda batch_size, accumulation: jobs.masked_lm_job(
            tmp_path / f"{batch_size}",
            losses,
            shape=Student(hidden_size=16, feed_forward=32),
            batch_size=batch_size,
            accumulation=accumulation,
            steps=6,
            learning_rate=1e-4,
        )
    )


@pytest.mark.parametrize("task", ["classification", "token_classification"])
def test_accumulation_over_rows_of_unequal_length(tmp_path, task):
    losses = Losses(soft_targets=0.5, labels=0.5, cosine=0.1, logit_mse=0.1, patience=0.1, attention_maps=0.1)
    compare(
        lambda batch_size, accumulation: jobs.task_job(
            tmp_path / f"{batch_size}",
            task,
            losses,
            batch_size=batch_size,
            accumulation=accumulation,
            steps=6,
            learning_rate=1e-4,
        )
    )


def test_accumulation_logs_the_weighted_sum_of_its_losses(tmp_path):
    losses = Losses(soft_targets=5.0, masked_lm=2.0, cosine=1.0)
    entries, _ = jobs.run(jobs.masked_lm_job(tmp_path, losses, batch_size=4, accumulation=2, steps=3))
    for entry in entries:
        parts = 5 * entry["loss_soft_targets"] + 2 * entry["loss_masked_lm"] + entry["loss_cosine"]
        assert entry["loss"] == pytest.approx(parts, rel=1e-5)
