"""The one trainer: pretraining, masked-LM distillation, fine-tuning and task distillation are data and objective."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, PrinterCallback, TrainerState
from transformers.integrations import TensorBoardCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_NAME

from pocketbert.data.order import EpochOrder
from pocketbert.distill import checkpoints, sharding
from pocketbert.distill.arguments import make_arguments
from pocketbert.distill.cache.signals import CachedSamples, CachedSignals
from pocketbert.distill.clipping import clip_in_step
from pocketbert.distill.control import Control
from pocketbert.distill.datasets import ROWS, Batch, EncodedRows, MaskedBlocks
from pocketbert.distill.keeping import KeepingTrainer
from pocketbert.distill.learner import Learner
from pocketbert.distill.length import count_steps, order_samples
from pocketbert.distill.memory import keep_memory
from pocketbert.distill.objective import Counts, Objective
from pocketbert.distill.precision import settle_precision, torch_dtype
from pocketbert.distill.progress import Clock, JsonLog, ProgressLine, learning_rate_factor
from pocketbert.distill.signals import OnlineSignals, Signals
from pocketbert.errors import Interrupted, TrainingError
from pocketbert.manifest import LOG
from pocketbert.models.training import choose_attention, set_dropout
from pocketbert.recipe import Training

Samples = MaskedBlocks | EncodedRows | CachedSamples
Evaluator = Callable[[PreTrainedModel], dict[str, float]]
"""Gives the validation metrics of a model and leaves its mode as it was; ``score``, higher is better, decides."""


@dataclass(frozen=True)
class Job:
    """All that one training run needs.

    Attributes:
        title: the stage's name, for the progress line.
        model: what is trained, in place.
        data: training samples.
        objective: what is minimised.
        options: length, rates, seed.
        folder: for checkpoints and logs.
        teacher: the model that gives signals, or None.
        evaluate: validation, or None.
        console: where progress goes.
    """

    title: str
    model: PreTrainedModel
    data: Samples
    objective: Objective
    options: Training
    folder: Path
    teacher: PreTrainedModel | None = None
    evaluate: Evaluator | None = None
    console: Console | None = None


def train(job: Job) -> dict[str, Any]:
    """Train a model, or go on where a killed run stopped.

    Args:
        job: model, data, objective and options. The model ends with the weights of the best validation, or the
            last ones where there was none.

    Returns:
        Steps, seconds, precision, and the best validation score where there was one.

    Raises:
        PocketBertError: the checkpoint to go on from was saved with FSDP, and this run is without, or the other way.
        Interrupted: SIGTERM or SIGINT came; the state is saved.
        TrainingError: a loss was not finite.
    """
    set_dropout(job.model, job.options.dropout)
    trainer = PocketTrainer(job)
    checkpoint = checkpoints.newest_checkpoint(job.folder)
    if checkpoint:
        sharding.check_checkpoint(checkpoint, trainer.is_fsdp_enabled)
        trainer.announce(f"{job.title}: going on from {checkpoint.name}")
    if not (checkpoint and trainer.take_up_finished(checkpoint)):
        with trainer.stop.listening():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.stop:
        raise Interrupted(
            f"{job.title}: stopped by {trainer.stop.name} at step {trainer.state.global_step}; "
            f"the state is saved, run the same command to go on"
        )
    return trainer.finish()


class PocketTrainer(KeepingTrainer):
    """``transformers.Trainer`` with our signals, losses, order of data, exact resume and time budget."""

    order: EpochOrder
    lr_scheduler: LambdaLR | None

    def __init__(self, job: Job) -> None:
        self.job = job
        self.precision = settle_precision(job.options.precision, job.folder)
        self.stop = checkpoints.StopRequest()
        self._parts: dict[str, Tensor] = {}
        self._finite: list[Tensor] = []
        self._rows: list[int] = []
        self._norm: Tensor | None = None
        self._unlogged = 0
        self._learner = Learner(job.model, job.objective)
        choose_attention(job.model, torch.device("cuda" if torch.cuda.is_available() else "cpu"), learns=True)
        super().__init__(
            model=self._learner,
            args=make_arguments(job.options, len(job.data), self.precision, job.folder),
            data_collator=self._collate,
            train_dataset=job.data,
            # Our losses divide by the counts of the whole step; this tells the Trainer not to divide again.
            compute_loss_func=job.objective,
        )
        if self.is_fsdp_enabled:
            sharding.settle_plugin(self.accelerator, job.model)
            self.model = self.model_wrapped = copy.deepcopy(self._learner)
            self._learner.to(self.args.device)
        self._signals = self._start_teacher()
        steps = None if job.options.budget else count_steps(job.options, len(job.data))
        self.clock = Clock(steps, job.options.budget)
        self._line = ProgressLine(job.title, self.clock, job.console or Console(stderr=True))
        self._add_callbacks()

    def announce(self, message: str) -> None:
        """Say something beside the progress line."""
        (self.job.console or Console(stderr=True)).print(message, highlight=False)

    def take_up_finished(self, checkpoint: Path) -> bool:
        """Load a checkpoint of the run's last step, which a signal had saved; False for any other."""
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        self.clock.resume(state.global_step, checkpoints.read_elapsed(checkpoint).seconds)
        if self.clock.progress < 1:
            return False
        self.state = state
        self._load_from_checkpoint(str(checkpoint))
        return True

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As any trainer does, with the memory of one step kept for the next."""
        with keep_memory():
            return super().train(*args, **kwargs)

    def finish(self) -> dict[str, Any]:
        """Put the best weights back and sum up the run."""
        self._gather()
        if self.state.best_global_step:
            best = checkpoints.best_model(self.job.folder, self.state.best_global_step)
            # Tied weights are saved once.
            self.job.model.load_state_dict(load_file(best / SAFE_WEIGHTS_NAME), strict=False)
            # The main process soon clears the folder that the others still read.
            self.accelerator.wait_for_everyone()
        summary: dict[str, Any] = {
            "steps": self.state.global_step,
            "seconds": round(self.clock.elapsed, 1),
            "precision": self.precision,
        }
        if self.state.best_metric is not None:
            summary |= {"best_score": self.state.best_metric, "best_step": self.state.best_global_step}
        return summary

    # What a step is made of

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches on the CPU, where they are counted; each moves to its device when its turn has come."""
        loader: Any = super().get_train_dataloader()
        # ``accelerate`` would move them first, and then every look at them waits for all that a GPU has still to do.
        loader.device = None
        return loader  # type: ignore[no-any-return]

    def _collate(self, samples: Sequence[dict[str, Any]]) -> Batch:
        """A batch, and where the losses will look at it."""
        batch = self.job.data.collate(samples)
        return batch | self.job.objective.find_places(batch)

    def _prepare_input(self, data: Any) -> Any:
        """Move tensors to the device: pinned by the loader, they are copied while it works."""
        if isinstance(data, Tensor):
            data = data.to(self.args.device, non_blocking=True)
        return super()._prepare_input(data)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Counts]:
        """The micro-batches of a step, and the counts of all of them on all ranks."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        if not batches:
            # transformers 5.0 asks a resumed epoch for as many steps as a whole one has, and skips the empty ones.
            return [], Counts(*torch.ones(len(fields(Counts)), device=device).unbind())
        self._unlogged += 1
        self._rows = [row for batch in batches for row in batch.pop(ROWS).tolist()]
        objective = self.job.objective
        counts = torch.stack([objective.counts(batch) for batch in batches]).sum(dim=0)
        # The batches are still on the CPU: each rank knows of its own tokens without waiting for a device.
        self._line.count(int(counts[2]) * self.args.world_size)
        counts = counts.to(device, non_blocking=True)
        if self.args.world_size > 1:
            counts = self.accelerator.reduce(counts, reduction="sum")
        return batches, Counts(*counts.clamp(min=1).unbind())

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective of a micro-batch, divided by the counts of the whole step."""
        positions = self.job.objective.positions(inputs)
        signals = self._signals(inputs, positions) if self._signals else Signals()
        parts = model(inputs, signals, num_items_in_batch)
        # DistributedDataParallel averages gradients over ranks, but each rank's part is already a share of the sum.
        loss = parts.pop("total") * self.args.world_size
        self._finite.append(torch.isfinite(loss.detach()))
        for name, value in parts.items():
            self._parts[name] = self._parts.get(name, 0) + value.detach()
        return (loss, parts) if return_outputs else loss

    def check_finite(self) -> None:
        """Stop before the weights are touched by a loss or a gradient that is not a number; one look a step."""
        finite = [torch.stack(self._finite).all(), torch.isfinite(self._gradient_norm())]
        self._finite.clear()
        loss_is, gradient_is = self.accelerator.gather(torch.stack(finite)).reshape(-1, 2).all(dim=0).tolist()
        if not (loss_is and gradient_is):
            rows = gather_object(self._rows)
            good = checkpoints.newest_checkpoint(self.job.folder)
            raise TrainingError(
                f"{self.job.title}: the {'gradient' if loss_is else 'loss'} is not finite at step "
                f"{self.state.global_step + 1}. Rows of the batch: "
                f"{self.job.data.describe(rows)}. Last good checkpoint: {good or 'none yet'}. "
                "Look at these rows. The same command goes on from there; a lower learning_rate, or precision: fp32, "
                "makes another run, which starts afresh."
            )

    def _gradient_norm(self) -> Tensor:
        if self.precision == "fp16":
            # The scaler of the loss looks itself: it skips such a step and scales down.
            return torch.zeros((), device=self.args.device)
        norm, self._norm = self._norm, None
        if norm is None:
            gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
        return sharding.full(norm).to(self.args.device)

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        """Clip, and remember the norm, which takes a pass over all gradients."""
        if self.args.device.type == "cpu" and not self.is_fsdp_enabled:
            gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
            self._norm = clip_in_step(gradients, self.args.max_grad_norm, self.optimizer.optimizer)
        else:
            self._norm = super()._clip_grad_norm(model)
        return self._norm

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean of each loss since the last log."""
        if "loss" in logs and self._parts:
            for name, value in self._parts.items():
                logs[f"loss_{name}"] = self.accelerator.reduce(value, reduction="sum").item() / self._unlogged
            self._parts.clear()
            self._unlogged = 0
        super().log(logs, *args, **kwargs)

    # How it is set up

    def _start_teacher(self) -> OnlineSignals | CachedSignals | None:
        if self.job.teacher is None or not self.job.objective.needs:
            return None
        needs, where = self.job.objective.needs, (self.args.device, torch_dtype(self.precision))
        if isinstance(self.job.data, CachedSamples):
            return CachedSignals(self.job.data.content, needs, self.job.teacher, *where)
        return OnlineSignals(self.job.teacher, needs, *where)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder:  # noqa: ARG002 - the Trainer's signature
        self.order = order_samples(self.job.options, len(self.job.data), self.job.data.lengths)
        return self.order

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:  # noqa: ARG002
        """Linear warm-up and decay over the run's progress, by steps or by time."""
        if self.lr_scheduler is None:
            warmup = self.job.options.warmup_ratio
            self.lr_scheduler = LambdaLR(
                optimizer or self.optimizer, lambda step: learning_rate_factor(self.clock.at(step), warmup)
            )
        return self.lr_scheduler

    def _add_callbacks(self) -> None:
        self.remove_callback(PrinterCallback)
        self.add_callback(Control(self))
        if self.is_world_process_zero():
            self.add_callback(self._line)
            self.add_callback(JsonLog(self.job.folder / LOG, self.clock))
            self.add_callback(TensorBoardCallback(SummaryWriter(str(self.job.folder / "tensorboard"))))
