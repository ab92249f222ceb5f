"""What ``transformers.Trainer`` is told: our options in its words, and off with what we do ourselves."""

import os
from pathlib import Path

import torch
from transformers import TrainingArguments

from pocketbert.distill.length import count_steps
from pocketbert.recipe import Training

UNBOUNDED = 10**9
"""Steps of a run that ends by its time budget."""


class _Arguments(TrainingArguments):  # type: ignore[misc]
    @property
    def device(self) -> torch.device:
        """The device of this rank."""
        device: torch.device = super().device
        # Ranks on one processor have it under numbers, and older trainers load an optimiser to the number.
        return torch.device("cpu") if device.type == "cpu" else device


def make_arguments(options: Training, samples: int, precision: str, folder: Path) -> TrainingArguments:
    """The options of a stage as those of the trainer.

    Args:
        options: length, rates, seed.
        samples: of an epoch.
        precision: settled, not ``auto``.
        folder: for checkpoints and logs.
    """
    # A launcher may have been told another precision, or have one of its own; the recipe says which it is.
    os.environ["ACCELERATE_MIXED_PRECISION"] = {"fp32": "no"}.get(precision, precision)
    cuda = torch.cuda.is_available()
    arguments = _Arguments(
        output_dir=str(folder),
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        adam_beta1=options.beta1,
        adam_beta2=options.beta2,
        adam_epsilon=options.epsilon,
        max_grad_norm=options.clip,
        max_steps=UNBOUNDED if options.budget else count_steps(options, samples),
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        # Clipping leaves the scaling of gradients to it (``clipping``).
        optim="adamw_torch_fused",
        use_cpu=not cuda,
        seed=options.seed,
        logging_steps=10,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        metric_for_best_model="score",
        greater_is_better=True,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=cuda,
        ddp_find_unused_parameters=True,
    )
    # One device a rank: the Trainer would otherwise spread a lone process over all GPUs by DataParallel, which
    # splits a batch behind the counts. torchrun starts a rank a GPU.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
