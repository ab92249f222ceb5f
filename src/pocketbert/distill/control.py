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

EVALUATED = "eval_progress"
"""Beside the metrics of a validation: how far the run had come."""
EVALUATIONS = 10
"""Validations of a run that does not say how often."""
EVALUATION_SHARE = 0.1
"""Most of a time budget that validation may take up, the last one aside."""


class Control(TrainerCallback):  # type: ignore[misc]
    """Decides after each step; all that validation and the end go by is in a checkpoint: a resumed run decides alike.

    Args:
        trainer: whose run this is.
    """

    def __init__(self, trainer: "PocketTrainer") -> None:
        self._trainer = trainer
        self._options = trainer.job.options
        self._saved = time.monotonic()
        self._evaluated = 0.0

    def on_train_begin(self, _args: Any, state: TrainerState, _control: Any, **_kwargs: Any) -> None:
        """Set clock and validations to where the run stands."""
        folder: Path = self._trainer.job.folder
        checkpoint = folder / f"checkpoint-{state.global_step}"
        elapsed = checkpoints.read_elapsed(checkpoint) if state.global_step else checkpoints.Elapsed()
        self._trainer.clock.resume(state.global_step, elapsed.seconds)
        self._trainer.evaluation_seconds = elapsed.evaluation
        self._evaluated = max((entry.get(EVALUATED, 0.0) for entry in state.log_history), default=0.0)
        self._saved = time.monotonic()

    def on_evaluate(self, *_args: Any, metrics: dict[str, float], **_kwargs: Any) -> None:
        """Remember how far the run had come."""
        self._evaluated = metrics[EVALUATED]

    def on_epoch_begin(self, _args: Any, state: TrainerState, _control: Any, **_kwargs: Any) -> None:
        """Tell the order its epoch: with several ranks, the loader of a resumed epoch does not."""
        self._trainer.order.set_epoch(int(state.epoch or 0))

    def on_pre_optimizer_step(self, *_args: Any, **_kwargs: Any) -> None:
        """Stop before a loss that is not finite reaches the weights."""
        self._trainer.check_finite()

    def on_step_end(self, _args: Any, state: TrainerState, control: TrainerControl, **_kwargs: Any) -> TrainerControl:
        """Validate, save or stop when due."""
        self._trainer.clock.step = state.global_step
        clock = self._trainer.clock
        progress, save, stop, spare = self._agree(
            clock.progress, self._save_due(state), bool(self._trainer.stop), self._evaluation_affordable()
        )
        clock.seen = progress
        if stop and not self._trainer.stop:
            self._trainer.stop.name = "a signal to another rank"
        ended = progress >= 1
        control.should_evaluate = self._trainer.job.evaluate is not None and (
            ended or self._evaluation_due(state, progress, bool(spare))
        )
        control.should_training_stop |= ended or bool(stop)
        control.should_save = (bool(save) and not ended) or bool(stop)
        control.should_log |= ended
        if control.should_save:
            self._saved = time.monotonic()
        return control

    def _agree(self, *own: float) -> list[float]:
        """The greatest of all ranks: their clocks and signals differ, and one that stops alone hangs the others."""
        if self._trainer.args.world_size == 1:
            return list(own)
        values = torch.tensor(own, dtype=torch.float64, device=self._trainer.args.device)
        greatest: list[float] = self._trainer.accelerator.gather(values).reshape(-1, len(own)).amax(dim=0).tolist()
        return greatest

    def _evaluation_due(self, state: TrainerState, progress: float, affordable: bool) -> bool:
        if self._options.evaluate_every:
            return bool(state.global_step % self._options.evaluate_every == 0)
        return affordable and math.floor(progress * EVALUATIONS) > math.floor(self._evaluated * EVALUATIONS)

    def _evaluation_affordable(self) -> bool:
        """Whether validation has left a time budget its due; a run by steps has all the time it needs."""
        spent = self._trainer.evaluation_seconds
        return not self._options.budget or spent <= EVALUATION_SHARE * self._trainer.clock.elapsed

    def _save_due(self, state: TrainerState) -> bool:
        if self._options.save_steps:
            return bool(state.global_step % self._options.save_steps == 0)
        return time.monotonic() - self._saved >= self._options.save_every
