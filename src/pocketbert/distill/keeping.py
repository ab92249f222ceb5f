"""What a run measures and keeps: validations, the best model so far, and checkpoints."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import Trainer, TrainerControl

from pocketbert.distill import checkpoints, sharding
from pocketbert.distill.control import EVALUATED
from pocketbert.distill.learner import Learner
from pocketbert.distill.progress import Clock

if TYPE_CHECKING:
    from pocketbert.distill.trainer import Job


class KeepingTrainer(Trainer):  # type: ignore[misc]
    """``transformers.Trainer`` that keeps the best model, and checkpoints that are whole or not there.

    Attributes:
        job: the run.
        clock: its progress.
        evaluation_seconds: what validations took so far.
    """

    job: "Job"
    clock: Clock
    control: TrainerControl
    evaluation_seconds: float = 0.0
    _learner: Learner
    _staging: Path | None = None

    def evaluate(self, *_args: Any, **_kwargs: Any) -> dict[str, float]:
        """Validation metrics, logged; the best model so far is kept."""
        if self.job.evaluate is None:
            return {}
        start = time.monotonic()
        self._gather()
        metrics = {f"eval_{name}": value for name, value in self._validate().items()}
        metrics[EVALUATED] = self.clock.progress
        self.evaluation_seconds += time.monotonic() - start
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validate(self) -> dict[str, float]:
        # In the precision of the training: it comes often, and only chooses among checkpoints.
        with self.accelerator.autocast():
            return self.job.evaluate(self.job.model) if self.job.evaluate else {}

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        better = bool(metrics) and super()._determine_best_metric(metrics, trial)
        if better:
            self.state.best_global_step = self.state.global_step
            self._keep_best()
        elif metrics and self._out_of_patience():
            self.control.should_training_stop = True
        return better

    def _out_of_patience(self) -> bool:
        best = self.state.best_global_step or 0
        since = sum("eval_score" in entry and entry["step"] > best for entry in self.state.log_history)
        return self.job.options.patience is not None and since >= self.job.options.patience

    def _keep_best(self) -> None:
        if self.args.should_save:
            staging = self.job.folder / checkpoints.STAGING / checkpoints.BEST
            self.job.model.save_pretrained(staging)
            checkpoints.publish_best(self.job.folder, self.state.global_step)
        self.accelerator.wait_for_everyone()

    def _gather(self) -> None:
        """Bring the learner up to date where what is trained is a sharded copy of it."""
        if self.model is not self._learner:
            sharding.gather(self._learner, self.model)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The learner as it stands now, by the main process."""
        self._gather()
        if self.args.should_save:
            self._learner.save(Path(output_dir or self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:  # noqa: ARG002
        self._learner.load(Path(resume_from_checkpoint))
        if self.model is not self._learner:
            sharding.scatter(self._learner, self.model)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._staging = self.job.folder / checkpoints.STAGING
        try:
            super()._save_checkpoint(model, trial)
        finally:
            staging, self._staging = self._staging, None
        self.accelerator.wait_for_everyone()
        name = f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            elapsed = checkpoints.Elapsed(self.clock.elapsed, self.evaluation_seconds)
            checkpoints.write_elapsed(staging / name, elapsed)
            checkpoints.publish(self.job.folder, name, self.state.best_global_step)
        self.accelerator.wait_for_everyone()
