"""Does a file answer like the model it was made from, and does an answer stay the same among any others?"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from pocketbert.engines.base import Engine, Logits
from pocketbert.engines.encoding import TextEncoder
from pocketbert.engines.golden import Golden, GoldenText, condense
from pocketbert.recipe import Limits
from pocketbert.tasks.base import Feature, collate

BATCHES = (2, 7, 32)
"""Texts per batch of the make-ups that an answer must not depend on."""

_SHOWN = 3
_EXCERPT = 60


class WorstText(BaseModel):
    """A text whose answer moved far.

    Attributes:
        what: why it is among the texts.
        text: its beginning.
        difference: largest of its logits' differences.
        flipped: whether its answer changed.
    """

    what: str
    text: str
    difference: float
    flipped: bool


class Parity(BaseModel):
    """A file held against the golden answers.

    Attributes:
        texts: how many were run.
        scale: largest golden logit, without its sign: what differences are a share of.
        difference: largest difference of a logit from the golden one, each text alone.
        answers: labels, tags or ends of spans that could have flipped; 0 where there is nothing to flip.
        flips: how many did.
        batch_mates: largest difference of a logit in a batch from the same text alone.
        worst: the texts that moved most.
    """

    texts: int
    scale: float
    difference: float
    answers: int
    flips: int
    batch_mates: float
    worst: list[WorstText]

    @property
    def relative(self) -> float:
        """The difference as a share of the scale."""
        return self.difference / self.scale

    @property
    def flip_share(self) -> float:
        """Share of the answers that flipped."""
        return self.flips / max(self.answers, 1)

    @property
    def relative_batch_mates(self) -> float:
        """What batch-mates change, as a share of the scale."""
        return self.batch_mates / self.scale


def measure_parity(engine: Engine, golden: Golden) -> Parity:
    """Run all golden texts alone, and again in batches of mixed make-up.

    Args:
        engine: runs the file.
        golden: texts and answers.
    """
    task = engine.description.task
    alone = list(answer_alone(engine, golden))
    moved = np.array([_largest(found, true) for found, true in zip(alone, golden.logits, strict=True)])
    pairs = [_flips(found, true, task) for found, true in zip(alone, golden.logits, strict=True)]
    order = np.argsort(-moved, kind="stable")[:_SHOWN]
    return Parity(
        texts=len(golden.texts),
        scale=_scale(golden),
        difference=float(moved.max()),
        answers=sum(answers for _, answers in pairs),
        flips=sum(flips for flips, _ in pairs),
        batch_mates=_batch_mates(engine, golden_features(golden), alone),
        worst=[_worst(golden.texts[row], float(moved[row]), pairs[row][0] > 0) for row in order],
    )


def check_parity(parity: Parity, limits: Limits, precision: str) -> list[str]:
    """What is outside the limits, a sentence each."""
    most, found = limit_of(limits, precision), []
    if not parity.relative <= most:  # not "greater": a NaN is a breach too
        found.append(f"a logit is off by {_percent(parity.relative)} of the largest, the limit is {_percent(most)}")
    flips = limits.label_flips_int8 if precision == "int8" else limits.label_flips
    if parity.flip_share > flips:
        found.append(
            f"{parity.flips} of {parity.answers} answers changed ({parity.flip_share:.2%}), the limit is {flips:.2%}"
        )
    if not parity.relative_batch_mates <= limits.batch_mates:
        found.append(
            f"in a batch a logit is off by {_percent(parity.relative_batch_mates)} of the largest, "
            f"the limit is {_percent(limits.batch_mates)}"
        )
    return found


def _percent(share: float) -> str:
    """``12.50%``, and ``1.0e-07%`` where two digits would be zeros."""
    return f"{share:.2%}" if not 0 < share < 5e-5 else f"{100 * share:.1e}%"


def differences(engine: Engine, golden: Golden) -> tuple[float, float]:
    """Largest difference of a logit from the golden one, each text alone, and the scale that it is a share of."""
    return max(map(_largest, answer_alone(engine, golden), golden.logits)), _scale(golden)


def answer_alone(engine: Engine, golden: Golden) -> Iterator[Logits]:
    """Answer the golden texts, each alone, as :func:`~pocketbert.engines.golden.condense` leaves the answers."""
    said = engine.description
    for each in golden_features(golden):
        yield _cut(engine.run(collate([each], said.pad_token_id))[0], each, said.task)


def limit_of(limits: Limits, precision: str) -> float:
    """How far a logit of a file of some precision may be off, as a share of the scale."""
    return {"fp32": limits.fp32, "fp16": limits.half, "bf16": limits.half, "int8": limits.int8}[precision]


def check_tokenizer(golden: Golden, folder: Path, max_length: int, spans: bool) -> list[str]:
    """Whether the tokenizer of a directory still gives the golden ids; a sentence where it does not."""
    encode = TextEncoder(folder, max_length, spans)
    read = [encode(text.text, text.pair) for text in golden.texts]
    changed = [
        text.what
        for text, found, (ids, types) in zip(golden.texts, read, _inputs(golden), strict=True)
        if (found["input_ids"], found["token_type_ids"]) != (ids, types)
    ]
    if not changed:
        return []
    return [f"the tokenizer reads {len(changed)} of {len(golden.texts)} texts differently, such as: {changed[0]}"]


def _inputs(golden: Golden) -> Iterator[tuple[list[int], list[int]]]:
    for rows in golden.ids:
        yield rows[0].tolist(), rows[1].tolist()


def golden_features(golden: Golden) -> list[Feature]:
    """The golden texts as model inputs."""
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": types} for ids, types in _inputs(golden)
    ]


def _scale(golden: Golden) -> float:
    return max(max(float(np.abs(each).max()) for each in golden.logits), 1e-6)


def _cut(logits: Logits, feature: Feature, task: str) -> Logits:
    """One row of a batch without its padding."""
    tokens = logits[: len(feature["input_ids"])] if logits.ndim > 1 else logits
    return condense(tokens, task)


def _largest(found: Logits, true: Logits) -> float:
    if found.shape != true.shape:
        return float("inf")
    difference = float(np.abs(found - true).max())
    return float("inf") if np.isnan(difference) else difference


def _flips(found: Logits, true: Logits, task: str) -> tuple[int, int]:
    """How many answers of one text changed, and how many there are."""
    if found.shape != true.shape:
        return 1, 1
    if task in ("regression", "embedding"):
        return 0, 0
    if task == "multi_label":
        return int(((found > 0) != (true > 0)).sum()), found.size
    axis = 0 if task == "question_answering" else -1
    changed = np.atleast_1d(found.argmax(axis=axis) != true.argmax(axis=axis))
    return int(changed.sum()), changed.size


def _batch_mates(engine: Engine, features: Sequence[Feature], alone: Sequence[Logits]) -> float:
    """Largest difference between a text alone and among others, over several make-ups of the batches."""
    task, pad_token_id, largest = engine.description.task, engine.description.pad_token_id, 0.0
    for size in BATCHES:
        order = np.random.Generator(np.random.Philox(key=[0, size])).permutation(len(features))
        for start in range(0, len(order), size):
            rows = order[start : start + size].tolist()
            logits = engine.run(collate([features[row] for row in rows], pad_token_id))
            for row, values in zip(rows, logits, strict=True):
                largest = max(largest, _largest(_cut(values, features[row], task), alone[row]))
    return largest


def _worst(text: GoldenText, difference: float, flipped: bool) -> WorstText:
    shown = text.text if isinstance(text.text, str) else " ".join(text.text)
    if text.pair is not None:
        shown += f" | {text.pair}"
    excerpt = shown if len(shown) <= _EXCERPT else shown[: _EXCERPT - 1] + "…"
    return WorstText(what=text.what, text=excerpt, difference=difference, flipped=flipped)
