"""The two ways of a distillation step that ``benchmarks/train_step.py`` times, each in a process of its own.

``reference`` is the original recipe written plainly: fp32, random batches padded to their longest row, dropout, the
distributions of all real tokens compared. ``ours`` is the stage's own trainer with its defaults. Both have the same
weights, rows and weights of the losses, and train where the trainer does: on the GPU where there is one.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from rich.console import Console
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, DistilBertConfig, PreTrainedModel, TrainerCallback

from common import PUBLIC_DATA
from devices import peak_memory, read_clock, training_device
from pocketbert.data.corpus import build_corpus
from pocketbert.data.order import Position
from pocketbert.data.sources import read_texts
from pocketbert.distill.datasets import ROWS, Batch, EncodedRows, MaskedBlocks
from pocketbert.distill.distillation import MASKED_LM_LOSSES
from pocketbert.distill.learning import TASK_LOSSES
from pocketbert.distill.phases import Course
from pocketbert.distill.places import real_tokens
from pocketbert.distill.rows import read_rows
from pocketbert.distill.trainer import Job, PocketTrainer
from pocketbert.errors import PocketBertError
from pocketbert.models.tokenizers import read_tokenizer
from pocketbert.models.training import set_dropout
from pocketbert.recipe import Data, DistillStage, Losses, Masking

VOCABULARY = PUBLIC_DATA / "vocab" / "bert-base-uncased-vocab.txt"
SST2 = PUBLIC_DATA / "glue" / "SST-2" / "train.tsv"
TEMPERATURE = 2.0
CLIP = 5.0
RATE = 5e-5
IGNORED = -100
RELATIVE, ABSOLUTE = 0.01, 1e-3
"""By how much bf16 may move a loss: a share of it, or this where it is near nothing."""


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        kind: ``text`` for the masked language model, ``rows`` for SST-2.
        batch_size: sequences of a step.
        steps: of a round.
        width: of the hidden states.
        layers: of teacher and student.
    """

    kind: str
    batch_size: int
    steps: int
    width: int = 768
    layers: tuple[int, int] = (12, 6)

    @property
    def tokens(self) -> int:
        """Of a block of text; the longest row of a task."""
        return 128

    @property
    def warm_up(self) -> int:
        """Steps that our trainer takes before a round, for the memory that it keeps is new at its start.

        Blocks of text are alike; rows are not, and all of them are read once.
        """
        return min(4, self.steps) if self.kind == "text" else self.steps

    @property
    def losses(self) -> Losses:
        """The weights that both ways share."""
        return MASKED_LM_LOSSES if self.kind == "text" else TASK_LOSSES


def make_models(work: Work) -> tuple[PreTrainedModel, PreTrainedModel]:
    """Teacher and student with random weights, the same at each call."""
    torch.manual_seed(0)
    head = "MaskedLM" if work.kind == "text" else "SequenceClassification"
    heads, inner = max(1, work.width // 64), 4 * work.width
    theirs = BertConfig(
        hidden_size=work.width,
        num_hidden_layers=work.layers[0],
        num_attention_heads=heads,
        intermediate_size=inner,
    )
    own = DistilBertConfig(dim=work.width, n_layers=work.layers[1], n_heads=heads, hidden_dim=inner)
    teacher, student = (getattr(transformers, f"AutoModelFor{head}").from_config(config) for config in (theirs, own))
    return teacher.eval(), student.train()


def make_data(work: Work, folder: Path) -> MaskedBlocks | EncodedRows:
    """Blocks of text, or the first rows of SST-2.

    Raises:
        PocketBertError: the public data is not there, or has less than a round takes.
    """
    if not VOCABULARY.is_file():
        raise PocketBertError(f"{VOCABULARY}: not there; the public data beside the project is needed")
    tokenizer = read_tokenizer(str(VOCABULARY), True, 512)
    if work.kind == "text":
        corpus = build_corpus(read_texts(["embedded:text"]), tokenizer, folder, "embedded")
        blocks = range(work.batch_size * (work.steps + 1))
        _check_enough("blocks", corpus.blocks(work.tokens), len(blocks), work)
        return MaskedBlocks(corpus, tokenizer, Masking(), work.tokens, 0, blocks)
    data = Data(task="classification", layout="sst2", train=[str(SST2)], limit=2 * work.batch_size * work.steps)
    rows = read_rows(data)
    encoded = rows.task.encode(rows.train[: work.batch_size * work.steps], tokenizer)
    _check_enough("rows", len(encoded), work.batch_size * work.steps, work)
    return EncodedRows(encoded, tokenizer.pad_token_id)


def _check_enough(of: str, found: int, needed: int, work: Work) -> None:
    if found < needed:
        raise PocketBertError(
            f"{work.steps} steps of {work.batch_size} take {needed:,} {of}, and there are {found:,}: take smaller ones"
        )


class Round(NamedTuple):
    """What one round of a way gave.

    Attributes:
        seconds: of each step.
        precision: of its matrix products.
        memory: most bytes that its process has held so far.
    """

    seconds: list[float]
    precision: str
    memory: int


def serve(connection: Connection, way: str, work: Work) -> None:
    """Time a :class:`Round` of one way for each ``True``, until the other end hangs up."""
    device = training_device()
    with tempfile.TemporaryDirectory() as folder:
        rounds = {"reference": _reference_rounds, "ours": _our_rounds}[way](work, Path(folder), device)
        try:
            while connection.recv():
                seconds, precision = next(rounds)
                connection.send(Round(seconds, precision, peak_memory(device)))
        except EOFError:
            return


# The original recipe


def _reference_rounds(work: Work, folder: Path, device: torch.device) -> Iterator[tuple[list[float], str]]:
    teacher, student = (model.to(device) for model in make_models(work))
    data = make_data(work, folder)
    optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0)
    order = np.random.default_rng(0).permutation(len(data))[: work.batch_size * work.steps]
    batches = [_plain_batch(data, rows) for rows in order.reshape(-1, work.batch_size)]
    while True:
        seconds = []
        for batch in batches:
            start = read_clock(device)
            loss, _ = reference_losses(work, teacher, student, _move(batch, device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(read_clock(device) - start)
        yield seconds, "fp32"


def _plain_batch(data: MaskedBlocks | EncodedRows, rows: Any) -> Batch:
    samples = [data[Position(0, int(row))] for row in rows]
    batch = data.collate(samples)
    batch.pop(ROWS)
    longest = max(len(sample["input_ids"]) for sample in samples)
    # Padded to the longest and no further.
    return {name: value[:, :longest] if value.ndim > 1 else value for name, value in batch.items()}


def _move(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) for name, value in batch.items()}


def reference_losses(
    work: Work, teacher: PreTrainedModel, student: PreTrainedModel, batch: Batch, masked: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """The objective as it was written first.

    Args:
        work: says which losses.
        teacher: in fp32.
        student: in fp32.
        batch: padded, and where the models are.
        masked: compare distributions at masked positions alone, as ours does by default.
    """
    inputs = {name: value for name, value in batch.items() if name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        theirs = teacher(**inputs, output_hidden_states=True)
    own = student(**inputs, output_hidden_states=True)
    labels, real = batch["labels"], real_tokens(batch)
    pick: Any = (labels != IGNORED if masked else real) if work.kind == "text" else slice(None)
    first, second = own.logits[pick] / TEMPERATURE, theirs.logits[pick] / TEMPERATURE
    divergence = functional.kl_div(
        functional.log_softmax(first, -1), functional.softmax(second, -1), reduction="batchmean"
    )
    entropy = functional.cross_entropy(own.logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED)
    states = own.hidden_states[-1][real], theirs.hidden_states[-1][real]
    cosine = functional.cosine_embedding_loss(*states, states[0].new_ones(len(states[0])))
    name = "masked_lm" if work.kind == "text" else "labels"
    parts = {"soft_targets": divergence * TEMPERATURE**2, name: entropy, "cosine": cosine}
    total = torch.stack([getattr(work.losses, name) * value for name, value in parts.items()]).sum()
    return total, parts


# Ours


class _Stopwatch(TrainerCallback):
    """Seconds from the end of one step to the end of the next.

    The trainer waits for its device once a step anyway, to see whether all is finite; what waiting at the end of the
    step, too, costs ours is the optimiser's work, beside which the next batch could be made.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.ends: list[float] = []

    def on_train_begin(self, *_args: Any, **_kwargs: Any) -> None:
        self.ends.append(read_clock(self._device))

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        self.ends.append(read_clock(self._device))


def _our_rounds(work: Work, folder: Path, device: torch.device) -> Iterator[tuple[list[float], str]]:
    teacher, student = make_models(work)
    data = make_data(work, folder)
    number = 0
    while True:
        trainer = our_trainer(work, teacher, student, data, folder / f"{number}")
        watch = _Stopwatch(device)
        trainer.add_callback(watch)
        trainer.train()
        yield np.diff(watch.ends)[work.warm_up :].tolist(), trainer.precision
        number += 1


def our_trainer(
    work: Work,
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    data: MaskedBlocks | EncodedRows,
    folder: Path,
) -> PocketTrainer:
    """The trainer of a ``distill`` stage with defaults, for the warm-up and one round."""
    task = "masked_lm" if work.kind == "text" else "classification"
    options = DistillStage(steps=work.warm_up + work.steps, batch_size=work.batch_size, learning_rate=RATE, clip=CLIP)
    if work.kind == "text":
        options.dropout = 0.0  # as the stage itself does
    folder.mkdir()
    set_dropout(student, options.dropout)
    return PocketTrainer(
        Job(
            title="distill",
            model=student,
            data=data,
            objective=Course.of(work.losses).objectives(task, student, teacher, 0)[0],
            options=options,
            folder=folder,
            teacher=teacher,
            console=Console(quiet=True),
        )
    )


def compare_losses(work: Work, folder: Path) -> dict[str, tuple[float, float]]:
    """Each loss of one batch at the same positions, without dropout: the reference in fp32, and ours as it trains."""
    device = training_device()
    teacher, student = (model.to(device) for model in make_models(work))
    set_dropout(student, 0.0)
    data = make_data(work, folder)
    batch = _plain_batch(data, range(work.batch_size))
    with torch.no_grad():
        _, expected = reference_losses(work, teacher, student, _move(batch, device), masked=True)
    trainer = our_trainer(work, teacher, student, data, folder / "agreement")
    own = trainer.data_collator([data[Position(0, row)] for row in range(work.batch_size)])
    batches, counts = trainer.get_batch_samples(iter([own]), 1, device)
    inputs = trainer._prepare_inputs(batches[0])
    trainer.compute_loss(trainer.accelerator.prepare(trainer.model), inputs, num_items_in_batch=counts)
    return {name: (expected[name].item(), value.item()) for name, value in trainer._parts.items()}


def check_losses(losses: Mapping[str, tuple[float, float]]) -> None:
    """Refuse to time what is not the same.

    Args:
        losses: by name, of the reference and of ours.

    Raises:
        PocketBertError: two differ by more than bf16 rounds.
    """
    for name, (expected, found) in losses.items():
        # Written so that what is no number is refused, too.
        if not abs(expected - found) <= max(RELATIVE * abs(expected), ABSOLUTE):
            raise PocketBertError(
                f"{name}: the reference computes {expected:.5f} and ours {found:.5f}, which is more than rounding; "
                "their times say nothing before one of them is mended"
            )
