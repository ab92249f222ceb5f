"""Accuracy control: int8 answers are held against those of the model, and what hurts them most stays in fp32."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from pocketbert.distill.prediction import run_engine
from pocketbert.distill.rows import targets
from pocketbert.engines.base import Engine, Inputs
from pocketbert.measure.results import Result
from pocketbert.measure.scores import kept
from pocketbert.models.answering import Answering
from pocketbert.shrink.layers import quantizable_modules
from pocketbert.shrink.simulation import Range, run_batches, simulated
from pocketbert.tasks.base import Encoded, Task

FEW = 100
"""Validation rows below which a single answer is more than one in a hundred, so that the score alone tells little."""
_RANKING_BATCHES = 16


class Verdict(Result):
    """An int8 file held against the gate.

    Attributes:
        score: on the validation rows.
        kept: share of the fp32 score; None where that is not above zero.
        agreement: with the fp32 model, on the texts of the calibration.
        held: whether the gate holds.
    """

    score: float
    kept: float | None
    agreement: float
    held: bool


class Gate:
    """What int8 answers have to be like.

    The score on the validation rows has to be kept. Where these are few, or the fp32 score is not above zero, the
    answers to the texts of the calibration have to be the same ones too: for that no labels are needed.

    Args:
        task: scores the answers.
        validation: held-out rows.
        texts: of the calibration.
        reference: the fp32 model.
        least: share of its score that is enough.

    Attributes:
        validation: the held-out rows.
        score: of the fp32 model on them.
    """

    def __init__(self, task: Task, validation: Encoded, texts: Encoded, reference: Engine, least: float) -> None:
        self.validation, self._task, self._texts, self._least = validation, task, texts, least
        self._answers = self._ask(reference, texts)
        self.score = self._score(reference)

    def judge(self, engine: Engine) -> Verdict:
        """Hold an engine against the gate."""
        score = self._score(engine)
        share = kept(self.score, score)
        agreement = self._task.agreement(self._answers, self._ask(engine, self._texts))
        enough = share is None or share >= self._least
        if share is None or len(self.validation.examples) < FEW:
            enough &= agreement >= min(self._least, 1.0)
        return Verdict(score=score, kept=share, agreement=agreement, held=enough)

    def _score(self, engine: Engine) -> float:
        answers = self._ask(engine, self.validation)
        metrics = self._task.score(answers, targets(self.validation.examples))
        return float(np.mean([metrics[name] for name in self._task.deciding]))

    def _ask(self, engine: Engine, encoded: Encoded) -> list[Any]:
        logits = run_engine(engine, encoded.features, engine.description.pad_token_id)
        return self._task.decode(logits, encoded)


def rank_layers(module: Answering, ranges: Mapping[str, Range], batches: Sequence[Inputs]) -> list[str]:
    """Names of the layers that multiply, first the one whose int8 arithmetic alone moves the logits most.

    Embedding tables are not among them: they are most of the bytes, and a scale for each row loses little.

    Args:
        module: the fp32 model.
        ranges: of what goes into each layer.
        batches: texts without padding; some of them, evenly spread, are run.
    """
    some = batches[:: -(-len(batches) // _RANKING_BATCHES)]
    true = run_batches(module, some)
    errors: dict[str, float] = {}
    for name, layer in quantizable_modules(module.model).items():
        if name in ranges and not isinstance(layer, nn.Embedding):
            with simulated(module.model, {name: ranges[name]}):
                errors[name] = (run_batches(module, some) - true).square().mean().item()
    return sorted(errors, key=lambda name: -errors[name])


def hold_gate(
    gate: Gate, attempt: Callable[[list[str]], Engine], ranked: Callable[[], list[str]]
) -> tuple[Verdict, list[str]]:
    """Keep one, two, four, … of the most sensitive layers in fp32, up to half of all, until the gate holds.

    Args:
        gate: to hold.
        attempt: makes a file in which some layers stay in fp32, and opens it.
        ranked: gives all layers, the most sensitive first; asked only where it is needed.

    Returns:
        The verdict on the last attempt, and the layers that stayed in fp32 there.
    """
    higher: list[str] = []
    verdict = gate.judge(attempt(higher))
    order = [] if verdict.held else ranked()
    while not verdict.held and 2 * (more := max(1, 2 * len(higher))) <= len(order):
        higher = order[:more]
        verdict = gate.judge(attempt(higher))
    return verdict, higher
