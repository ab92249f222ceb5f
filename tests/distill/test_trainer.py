"""One trainer for all stages: what a step is made of, when it ends, and when it stops."""

import json
import math
import signal
import time
from dataclasses import replace
from functools import partial

import jobs
import pytest
import torch
from accelerate import skip_first_batches
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import tiny
from pocketbert.data.order import Position
from pocketbert.data.records import IGNORED
from pocketbert.distill import trainer as trainer_module
from pocketbert.distill.places import COUNTED
from pocketbert.distill.trainer import PocketTrainer, train
from pocketbert.errors import Interrupted, TrainingError
from pocketbert.models.training import set_dropout
from pocketbert.recipe import Losses

MASKED_LM = Losses(masked_lm=1.0)


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_that_does_not_say_validates_ten_times(tmp_path):
    evaluate, seen = jobs.scripted([float(number) for number in range(30)])
    train(replace(jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=2, steps=25), evaluate=evaluate))
    assert len(seen) == 10


def test_a_budget_ends_the_run_and_its_rate(tmp_path):
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, budget=5, learning_rate=1e-3)
    seconds = train(job)["seconds"]
    assert 5 <= seconds < 8
    rates = [entry["learning_rate"] for entry in log(tmp_path) if "learning_rate" in entry]
    assert max(rates) > 0.5e-3
    assert rates[-1] < 0.1e-3
    assert sorted(rates[len(rates) // 2 :], reverse=True) == rates[len(rates) // 2 :]


def test_epochs_are_passes_over_the_data(tmp_path):
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, accumulation=2, epochs=2)
    assert train(job)["steps"] == 2 * math.ceil(len(job.data) / 8)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_dropout_can_be_switched_off(family):
    tokenizer = tiny.make_tokenizer(family)
    model = tiny.make_model(family, "MaskedLM", tokenizer).train()
    ids = torch.randint(5, 40, (2, 10))
    set_dropout(model, 0.5)
    assert not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    set_dropout(model, 0.0)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def test_the_teacher_is_neither_trained_nor_saved(tmp_path):
    job = jobs.masked_lm_job(tmp_path, Losses(soft_targets=1.0, cosine=1.0), batch_size=4, steps=4, save_steps=2)
    before = {name: value.clone() for name, value in job.teacher.state_dict().items()}
    train(job)
    assert jobs.largest_difference(before, job.teacher.state_dict()) == 0
    saved = jobs.weights_of(tmp_path / "checkpoint-2")
    assert set(saved) <= set(job.model.state_dict())


def poison(job, at):
    """Let the data of one step be such that the weights cannot take it: an embedding becomes NaN."""
    collate, calls = job.data.collate, iter(range(1, 1000))

    def poisoned(samples):
        if next(calls) == at:
            with torch.no_grad():
                job.model.get_input_embeddings().weight.fill_(math.nan)
        return collate(samples)

    job.data.collate = poisoned


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path):
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=10, save_steps=2)
    poison(job, at=6)
    with pytest.raises(TrainingError) as stopped:
        train(job)
    message = str(stopped.value)
    # The loader is one batch ahead of the steps.
    step = int(message.split("at step ")[1].split(".")[0])
    assert step in (5, 6)
    assert f"Last good checkpoint: {tmp_path / 'checkpoint-4'}" in message
    assert "blocks " in message and str(job.data.corpus.folder) in message
    assert "The same command goes on from there" in message
    saved = jobs.weights_of(tmp_path / "checkpoint-4")
    assert all(torch.isfinite(value).all() for value in saved.values())


@pytest.mark.parametrize("clip", [1.0, 0.0])
def test_a_gradient_that_is_not_finite_stops_before_the_step(tmp_path, clip):
    """The loss may still be a number, as where a square root meets a zero."""
    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=10, save_steps=2, clip=clip)
    calls = iter(range(1, 1000))
    bias = next(value for name, value in job.model.named_parameters() if name.endswith("attention.q_lin.bias"))
    bias.register_hook(lambda gradient: gradient * math.inf if next(calls) == 5 else gradient)
    with pytest.raises(TrainingError, match=r"the gradient is not finite at step 5\. Rows of the batch: blocks "):
        train(job)
    assert all(torch.isfinite(value).all() for value in job.model.state_dict().values())
    assert (tmp_path / "checkpoint-4").is_dir()


@pytest.mark.parametrize("clip", [1e-3, 1e3])
def test_a_step_reads_gradients_no_longer_than_the_limit(tmp_path, clip):
    trainer = PocketTrainer(jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=1, clip=clip, precision="fp32"))
    norms = []
    clip_in_step = trainer_module.clip_in_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "clip_in_step", lambda *a: norms.append(clip_in_step(*a)) or norms[-1])
        trainer.train()
    # After one step AdamW's first moment is what it read, times what is left of 1 by its decay.
    moments = [state["exp_avg"] for state in trainer.optimizer.state.values()]
    read = torch.nn.utils.get_total_norm(moments) / (1 - trainer.args.adam_beta1)
    assert read.item() == pytest.approx(min(clip, norms[0].item()), rel=1e-3)
    assert 1e-3 < norms[0].item() < 1e3


def test_a_run_that_never_was_finite_has_no_checkpoint(tmp_path):
    job = jobs.task_job(tmp_path, "classification", Losses(labels=1.0), batch_size=4, steps=10)
    poison(job, at=1)
    with pytest.raises(TrainingError, match=r"at step 1\. Rows of the batch: .*train\.csv row \d+; .*none yet"):
        train(job)


def test_a_stopped_run_goes_on_with_the_same_weights(tmp_path):
    """In one process; the tests named resume do it with processes that are killed."""
    options = {"batch_size": 4, "steps": 12, "dropout": 0.2, "evaluate_every": 5}
    losses = Losses(soft_targets=1.0, masked_lm=1.0, cosine=1.0)
    scores = [0.1, 0.2, 0.3]  # the last weights are the ones that are kept

    def job(name):
        made = jobs.masked_lm_job(tmp_path / name, losses, **options)
        return replace(made, evaluate=jobs.scripted(scores)[0])

    whole = job("whole")
    train(whole)
    stopped = job("stopped")
    jobs.stop_at(stopped, batch=8)
    with pytest.raises(Interrupted, match=r"stopped by SIGTERM at step .*; the state is saved, run the same command"):
        train(stopped)
    assert list((tmp_path / "stopped").glob("checkpoint-*"))
    scores = scores[1:]
    again = job("stopped")
    summary = train(again)
    assert summary["steps"] == 12
    assert jobs.largest_difference(whole.model.state_dict(), again.model.state_dict()) == 0


def test_a_run_stopped_at_its_very_end_is_not_trained_further(tmp_path):
    losses = Losses(masked_lm=1.0)
    whole = jobs.masked_lm_job(tmp_path / "whole", losses, batch_size=4, steps=5, weight_decay=0.1)
    train(whole)
    stopped = jobs.masked_lm_job(tmp_path / "stopped", losses, batch_size=4, steps=5, weight_decay=0.1)

    def stop(_batch, *arguments):
        signal.raise_signal(signal.SIGTERM)
        return whole.objective.counts(_batch, *arguments)

    calls = iter(range(1, 1000))
    counts = stopped.objective.counts
    stopped.objective.counts = lambda made: stop(made) if next(calls) == 5 else counts(made)
    with pytest.raises(Interrupted):
        train(stopped)
    again = jobs.masked_lm_job(tmp_path / "stopped", losses, batch_size=4, steps=5, weight_decay=0.1)
    assert train(again)["steps"] == 5
    assert jobs.largest_difference(whole.model.state_dict(), again.model.state_dict()) == 0


def test_a_resumed_run_logs_its_losses_alike(tmp_path):
    """The mean since the last entry, over the steps of this session alone."""
    losses = Losses(soft_targets=2.0, masked_lm=1.0)
    stopped = jobs.masked_lm_job(tmp_path, losses, batch_size=4, steps=20)
    jobs.stop_at(stopped, batch=14)
    with pytest.raises(Interrupted):
        train(stopped)
    train(jobs.masked_lm_job(tmp_path, losses, batch_size=4, steps=20))
    for entry in log(tmp_path):
        if "loss" in entry:
            parts = 2 * entry["loss_soft_targets"] + entry["loss_masked_lm"]
            assert entry["loss"] == pytest.approx(parts, rel=1e-4)


def test_validation_leaves_a_time_budget_most_of_its_time(tmp_path):
    evaluate, seen = jobs.scripted([float(number) for number in range(30)])

    def slow(model):
        time.sleep(0.5)
        return evaluate(model)

    job = jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, budget=3.0)
    summary = train(replace(job, evaluate=slow))
    # At most a tenth of 3 seconds may be spent before one more is refused, and there is always a last one.
    assert 1 <= len(seen) <= 3
    assert summary["best_step"] == summary["steps"]


def test_a_step_that_is_asked_for_behind_the_last_batch_is_empty(tmp_path):
    """As transformers 5.0 does in an epoch that a run was stopped in."""
    trainer = PocketTrainer(jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=3))
    batches, counts = trainer.get_batch_samples(iter([]), 1, torch.device("cpu"))
    assert batches == [] and counts.tokens == 1


def test_batches_are_counted_before_they_move(tmp_path):
    """On the CPU, where it waits for nothing; also in the epoch that a run goes on in."""
    trainer = PocketTrainer(jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=3))
    loader = trainer.get_train_dataloader()
    assert loader.device is None and skip_first_batches(loader, 1).device is None
    batch = next(iter(loader))
    counted = (batch["labels"] != IGNORED).reshape(-1).nonzero().squeeze(1)
    assert torch.equal(batch[COUNTED], counted)


class Copies(TorchFunctionMode):
    """Takes note of which copies from the CPU keep the program waiting."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.to and args[0].device.type == "cpu":
            self.waiting.append(not (kwargs or {}).get("non_blocking", False))
        return function(*args, **(kwargs or {}))


def test_a_batch_is_copied_while_the_device_works(tmp_path, monkeypatch):
    trainer = PocketTrainer(jobs.masked_lm_job(tmp_path, MASKED_LM, batch_size=4, steps=3))
    batch = next(iter(trainer.get_train_dataloader()))
    monkeypatch.setattr(type(trainer.args), "device", torch.device("meta"))
    with Copies() as copies:
        moved = trainer._prepare_inputs(batch)
    assert copies.waiting == [False] * len(batch)
    assert moved.keys() == batch.keys() and {value.device.type for value in moved.values()} == {"meta"}


class Looks(TorchDispatchMode):
    """Takes note of what a GPU would have to answer before the program goes on."""

    ANSWERS = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.masked_select)
    PLACES = (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_)

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        packet = function.overloadpacket
        masks = packet in self.PLACES and any(one is not None and one.dtype == torch.bool for one in args[1])
        if masks or packet in self.ANSWERS:
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


EVERY_LOSS = Losses(**dict.fromkeys(set(Losses.model_fields) - {"masked_lm", "labels"}, 1.0))


@pytest.mark.parametrize("task", ["masked_lm", "classification", "token_classification"])
def test_a_step_asks_its_device_for_nothing(tmp_path, task):
    """Of padded rows ``transformers`` asks whether they are, once for each model."""
    own = "masked_lm" if task == "masked_lm" else "labels"
    losses = EVERY_LOSS.model_copy(update={own: 1.0})
    make = jobs.masked_lm_job if task == "masked_lm" else partial(jobs.task_job, task=task)
    job = make(tmp_path, losses=losses, batch_size=4, steps=3)
    trainer = PocketTrainer(job)
    batch = trainer.data_collator([job.data[Position(0, row)] for row in (0, 0, 0, 0)])
    batches, counts = trainer.get_batch_samples(iter([batch]), 1, trainer.args.device)
    model = trainer.accelerator.prepare(trainer.model)
    trainer.create_optimizer()
    with Looks() as looks:
        trainer.training_step(model, batches[0], counts)
    assert looks.found == []
