"""What a run keeps: the best model, and what its checkpoints remember."""

import time
from dataclasses import replace

import jobs
import pytest

from pocketbert.distill.checkpoints import newest_checkpoint
from pocketbert.distill.trainer import PocketTrainer, train
from pocketbert.errors import Interrupted
from pocketbert.recipe import Losses

MASKED_LM = Losses(masked_lm=1.0)


def test_the_best_validation_is_kept(tmp_path):
    evaluate, seen = jobs.scripted([0.1, 0.5, 0.3, 0.5, 0.2])
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=10, evaluate_every=2)
    summary = train(replace(job, evaluate=evaluate))
    assert summary["best_score"] == 0.5 and summary["best_step"] == 4
    assert len(seen) == 5
    assert jobs.largest_difference(job.model.state_dict(), seen[1]) == 0
    assert jobs.largest_difference(seen[1], seen[4]) > 0


def test_without_validation_the_last_weights_stay(tmp_path):
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=3)
    summary = train(job)
    assert summary["steps"] == 3 and "best_score" not in summary
    assert not list(tmp_path.glob("best*"))


def test_patience_counts_validations_without_gain(tmp_path):
    evaluate, seen = jobs.scripted([0.1, 0.4, 0.4, 0.3, 0.35, 0.9])
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=60, evaluate_every=1, patience=3)
    summary = train(replace(job, evaluate=evaluate))
    assert summary["steps"] == len(seen) == 5 and summary["best_step"] == 2


def test_a_run_that_goes_on_remembers_what_validations_took(tmp_path):
    def slow(model):
        time.sleep(0.2)
        return {"score": 0.0}

    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=8, evaluate_every=2)
    stopped = replace(job, evaluate=slow)
    jobs.stop_at(stopped, batch=6)
    with pytest.raises(Interrupted):
        train(stopped)
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=8, evaluate_every=2)
    trainer = PocketTrainer(replace(job, evaluate=lambda model: {"score": 0.0}))
    trainer.train(resume_from_checkpoint=str(newest_checkpoint(tmp_path)))
    assert trainer.evaluation_seconds >= 2 * 0.2
