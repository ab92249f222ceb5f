"""When a run validates, and what of it a checkpoint remembers."""

from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from pocketbert.distill.checkpoints import Elapsed, StopRequest, write_elapsed
from pocketbert.distill.control import Control
from pocketbert.distill.progress import Clock
from pocketbert.recipe import Training


class History(list):
    """Counts how often it is read."""

    read = 0

    def __iter__(self):
        self.read += 1
        return super().__iter__()


def control_of(folder, evaluate=lambda model: {}, **options):
    """The control of a trainer that only has what it looks at."""
    options = Training(**options)
    job = SimpleNamespace(options=options, folder=folder, evaluate=evaluate)
    trainer = SimpleNamespace(
        job=job,
        clock=Clock(options.steps, options.budget),
        stop=StopRequest(),
        evaluation_seconds=0.0,
        args=SimpleNamespace(world_size=1),
    )
    return Control(trainer), trainer


def state_at(step, *progress):
    """Of a run that has validated at these times."""
    return TrainerState(global_step=step, log_history=History({"eval_progress": each} for each in progress))


def is_due(control, state, step):
    """Whether validation follows a step."""
    state.global_step = step
    return control.on_step_end(None, state, TrainerControl()).should_evaluate


def test_a_run_that_goes_on_validates_where_it_would_have(tmp_path):
    control, _ = control_of(tmp_path, steps=100)
    (tmp_path / "checkpoint-34").mkdir()
    write_elapsed(tmp_path / "checkpoint-34", Elapsed(10.0))
    state = state_at(34, 0.1, 0.2, 0.3)
    control.on_train_begin(None, state, None)
    assert not is_due(control, state, 35) and is_due(control, state, 40)
    control.on_evaluate(None, state, None, metrics={"eval_progress": 0.4})
    assert not is_due(control, state, 41) and is_due(control, state, 50)


def test_what_was_logged_is_read_once(tmp_path):
    control, _ = control_of(tmp_path, steps=100)
    state = state_at(0)
    control.on_train_begin(None, state, None)
    for step in range(1, 30):
        is_due(control, state, step)
    assert state.log_history.read == 1


@pytest.mark.parametrize("options", [{"steps": 10}, {"steps": 10, "evaluate_every": 2}])
def test_without_validation_none_is_due(tmp_path, options):
    control, _ = control_of(tmp_path, evaluate=None, **options)
    state = state_at(0)
    control.on_train_begin(None, state, None)
    assert not any(is_due(control, state, step) for step in range(1, 11))


@pytest.mark.parametrize(("evaluation", "due"), [(3.0, False), (0.5, True)])
def test_what_validations_took_of_a_budget_is_remembered(tmp_path, evaluation, due):
    control, trainer = control_of(tmp_path, budget=20.0)
    (tmp_path / "checkpoint-5").mkdir()
    write_elapsed(tmp_path / "checkpoint-5", Elapsed(12.0, evaluation))
    state = state_at(5, 0.1)
    control.on_train_begin(None, state, None)
    assert trainer.evaluation_seconds == evaluation
    assert is_due(control, state, 6) is due
