"""Tag schemes of token classification, and scores of the spans they mark, by seqeval."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from seqeval.metrics import sequence_labeling, v1
from seqeval.scheme import IOBES, Entities

from pocketbert.errors import DataError

Scheme = Literal["iob1", "iob2", "bilou", "iobes", "plain"]
OUTSIDE = "O"

TARGET_SCHEME: dict[Scheme, Scheme] = {"iob1": "iob2", "bilou": "iobes"}
"""Schemes that are not learnt as they are, and what they are turned into."""

_PREFIXES = {"iob2": "BI", "iobes": "BIES"}


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type of a tag: ``B-PER`` is ``("B", "PER")``; ``O`` and bare prefixes have an empty type."""
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def unknown_tags(tags: Iterable[str], labels: Sequence[str], scheme: Scheme) -> list[str]:
    """Tags that are no labels, and whose type none of the labels has; a known type may have any prefix."""
    strange = set(tags) - set(labels)
    if not strange:
        return []
    prefixes = set(_PREFIXES.get(scheme, ""))
    kinds = {kind for prefix, kind in map(split_tag, labels) if prefix in prefixes}
    return sorted(tag for tag in strange if split_tag(tag)[0] not in prefixes or split_tag(tag)[1] not in kinds)


def detect_scheme(rows: Sequence[Sequence[str]], seen: Mapping[str, str]) -> Scheme:
    """Tell which scheme tags follow.

    Args:
        rows: tags of each sentence.
        seen: where each tag occurs first, for the message.

    Returns:
        The scheme; ``plain`` where tags have no prefixes.

    Raises:
        DataError: some tags have prefixes and others have not, or prefixes of two schemes are mixed.
    """
    tags = sorted(set(chain.from_iterable(rows)) - {OUTSIDE})
    odd = [tag for tag in tags if not re.fullmatch("[BIESLU](-.+)?", tag)]
    if odd and not any(re.match("[BIESLU]-.", tag) for tag in tags):
        return "plain"
    if odd:
        raise DataError(
            f"{seen[odd[0]]}: tag {odd[0]!r} has no prefix such as B- or I-, while others have; mend the tag"
        )
    prefixes = {split_tag(tag)[0] for tag in tags}
    if prefixes & set("LU"):
        return _bilou(prefixes, tags, seen)
    if prefixes & set("ES"):
        return "iobes"
    return "iob1" if _is_iob1(rows) else "iob2"


def _bilou(prefixes: set[str], tags: Sequence[str], seen: Mapping[str, str]) -> Scheme:
    if prefixes & set("ES"):
        odd = next(tag for tag in tags if tag[0] in "ES")
        raise DataError(f"{seen[odd]}: tag {odd!r} is of IOBES, while other tags are of BILOU; use one scheme")
    return "bilou"


def _is_iob1(rows: Iterable[Sequence[str]]) -> bool:
    """Whether spans start with ``I-``, and ``B-`` only parts a span from one of its type right before."""
    inside_starts = False
    for tags in rows:
        before: tuple[str, str] = (OUTSIDE, "")
        for tag in tags:
            prefix, kind = split_tag(tag)
            follows = before[0] != OUTSIDE and before[1] == kind
            if prefix == "B" and not follows:
                return False
            inside_starts |= prefix == "I" and not follows
            before = prefix, kind
    return inside_starts


def convert_tags(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Write IOB1 as IOB2 and BILOU as IOBES; other schemes stay as they are."""
    if scheme == "bilou":
        renamed = {"L": "E", "U": "S"}
        return [renamed.get(tag[0], tag[0]) + tag[1:] for tag in tags]
    if scheme != "iob1":
        return list(tags)
    pairs = [split_tag(tag) for tag in tags]
    before = [(OUTSIDE, ""), *pairs]
    return [
        f"B{tag[1:]}" if prefix == "I" and (last == OUTSIDE or last_kind != kind) else tag
        for tag, (prefix, kind), (last, last_kind) in zip(tags, pairs, before, strict=False)
    ]


def order_tags(tags: Iterable[str]) -> list[str]:
    """``O`` first, then by type, and within a type by prefix."""
    return sorted(set(tags), key=lambda tag: (tag != OUTSIDE, split_tag(tag)[::-1]))


def span_scores(
    predictions: Sequence[Sequence[str]], targets: Sequence[Sequence[str]], scheme: Scheme
) -> dict[str, float]:
    """Micro precision, recall and F1 of whole spans, and the share of right tags (``accuracy``).

    Args:
        predictions: tags of each sentence.
        targets: the right tags of each sentence, as many.
        scheme: ``iobes`` counts by seqeval's strict mode, others by its default mode (that of conlleval);
            neighbouring plain tags of one kind are one span.
    """
    found, true = _as_spans(predictions, scheme), _as_spans(targets, scheme)
    options = {"average": "micro", "zero_division": 0}
    if scheme == "iobes":
        parts = v1.precision_recall_fscore_support(true, found, scheme=IOBES, **options)
    else:
        parts = sequence_labeling.precision_recall_fscore_support(true, found, **options)
    names = ("precision", "recall", "span_f1")
    scores = {name: float(part) for name, part in zip(names, parts[:3], strict=True)}
    return scores | {"accuracy": float(sequence_labeling.accuracy_score(true, found))}


def span_counts(
    predictions: Sequence[Sequence[str]], targets: Sequence[Sequence[str]], scheme: Scheme
) -> NDArray[np.int64]:
    """Right, predicted and true spans of each sentence: (sentences, 3); F1 of sums by ``f1_of_counts``."""
    rows = []
    for found, true in zip(_as_spans(predictions, scheme), _as_spans(targets, scheme), strict=True):
        found_spans, true_spans = _spans(found, scheme), _spans(true, scheme)
        rows.append((len(found_spans & true_spans), len(found_spans), len(true_spans)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def f1_of_counts(counts: NDArray[np.int64]) -> float:
    """Micro F1 of summed (right, predicted, true) spans; 0 where there are none."""
    right, found, true = counts.tolist()
    return 2 * right / (found + true) if found + true else 0.0


def _as_spans(rows: Sequence[Sequence[str]], scheme: Scheme) -> list[list[str]]:
    if scheme != "plain":
        return [list(tags) for tags in rows]
    return [[tag if tag == OUTSIDE else f"I-{tag}" for tag in tags] for tags in rows]


def _spans(tags: list[str], scheme: Scheme) -> set[tuple[str, int, int]]:
    if scheme == "iobes":
        return {(span.tag, span.start, span.end) for span in Entities([tags], IOBES).entities[0]}
    return set(sequence_labeling.get_entities(tags))
