"""When a run validates, saves and ends."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
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

    def on_epoch_begin(self, _args: Any, state: TrainerState, _control: Any, **_kwargs: Any) -> None:
        """Tell the order its epoch: with several ranks, the loader of a resumed epoch does not."""
        self._trainer.order.set_epoch(int(state.epoch or 0))

    def on_pre_optimizer_step(self, *_args: Any, **_kwargs: Any) -> None:
        """Stop before a loss that is not finite reaches the weights."""
        self._trainer.check_finite()

    def on_step_end(self, _args: Any, state: TrainerState, control: TrainerControl, **_kwargs: Any) -> TrainerControl:
        """Validate, save or stop when due."""
        self._trainer.clock.step = state.global_step
        progress, save, stop = self._agree(
            self._trainer.clock.progress, self._save_due(state), bool(self._trainer.stop)
        )
        self._trainer.clock.seen = progress
        if stop and not self._trainer.stop:
            self._trainer.stop.name = "a signal to another rank"
        ended = progress >= 1
        control.should_evaluate = self._trainer.job.evaluate is not None and self._evaluation_due(
            state, progress, ended
        )
        control.should_training_stop |= ended or stop
        control.should_save = (save and not ended) or stop
        control.should_log |= ended
        if control.should_save:
            self._saved = time.monotonic()
        return control

    def _agree(self, progress: float, save: bool, stop: bool) -> tuple[float, bool, bool]:
        """The furthest of all ranks: their clocks and signals differ, and one that stops alone hangs the others."""
        if self._trainer.args.world_size == 1:
            return progress, save, stop
        own = torch.tensor([progress, save, stop], dtype=torch.float64, device=self._trainer.args.device)
        both = self._trainer.accelerator.gather(own).reshape(-1, 3).amax(dim=0).tolist()
        return both[0], bool(both[1]), bool(both[2])

    def _evaluation_due(self, state: TrainerState, progress: float, ended: bool) -> bool:
        if self._options.evaluate_every:
            return ended or bool(state.global_step % self._options.evaluate_every == 0)
        done: int = sum("eval_score" in entry for entry in state.log_history)
        return math.floor(progress * EVALUATIONS) > done

    def _save_due(self, state: TrainerState) -> bool:
        if self._options.save_steps:
            return bool(state.global_step % self._options.save_steps == 0)
        return time.monotonic() - self._saved >= self._options.save_every
