"""When a run validates, saves and ends."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from pocketbert.distill import checkpoints

if TYPE_CHECKING:
    from pocketbert.distill.trainer import PocketTrainer

EVALUATIONS = 10
"""Validations of a run that does not say how often."""


class Control(TrainerCallback):  # type: ignore[misc]
    """Decides after each step; all it goes by is in the trainer's state, so a resumed run decides alike.

    Args:
        trainer: whose run this is.
    """

    def __init__(self, trainer: "PocketTrainer") -> None:
        self._trainer = trainer
        self._options = trainer.job.options
        self._saved = time.monotonic()

    def on_train_begin(self, _args: Any, state: TrainerState, _control: Any, **_kwargs: Any) -> None:
        """Set the clock to where the run stands."""
        folder: Path = self._trainer.job.folder
        checkpoint = folder / f"checkpoint-{state.global_step}"
        elapsed = checkpoints.read_elapsed(checkpoint) if state.global_step else 0.0
        self._trainer.clock.resume(state.global_step, elapsed)
        self._saved = time.monotonic()

    def on_pre_optimizer_step(self, *_args: Any, **_kwargs: Any) -> None:
        """Stop before a loss that is not finite reaches the weights."""
        self._trainer.check_finite()

    def on_step_end(self, _args: Any, state: TrainerState, control: TrainerControl, **_kwargs: Any) -> TrainerControl:
        """Validate, save or stop when due."""
        self._trainer.clock.step = state.global_step
        ended = self._trainer.clock.progress >= 1
        control.should_evaluate = self._trainer.job.evaluate is not None and self._evaluation_due(state, ended)
        control.should_training_stop |= ended or bool(self._trainer.stop)
        control.should_save = self._save_due(state, ended) or bool(self._trainer.stop)
        control.should_log |= ended
        if control.should_save:
            self._saved = time.monotonic()
        return control

    def _evaluation_due(self, state: TrainerState, ended: bool) -> bool:
        if self._options.evaluate_every:
            return ended or bool(state.global_step % self._options.evaluate_every == 0)
        done: int = sum("eval_score" in entry for entry in state.log_history)
        return math.floor(self._trainer.clock.progress * EVALUATIONS) > done

    def _save_due(self, state: TrainerState, ended: bool) -> bool:
        if ended:
            return False
        if self._options.save_steps:
            return bool(state.global_step % self._options.save_steps == 0)
        return time.monotonic() - self._saved >= self._options.save_every
