"""Windows over a long context: where answers stand in their tokens, and the best span of their logits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_ANSWER = 30
"""Most tokens of a predicted answer, as in the published SQuAD scripts."""

OUTSIDE = -1
CLASSIFIER = -2
"""Places of tokens outside the context, and of the one among them to which "no answer" points."""

IMPOSSIBLE = -np.inf


def context_places(encoding: Any, cls_token_id: int | None) -> NDArray[np.int32]:
    """Where the tokens of a window stand in the context.

    Args:
        encoding: one window, of the ``tokenizers`` library.
        cls_token_id: of the classifier token; the first token serves where the window has none.

    Returns:
        (tokens, 2) first character and one past the last; ``OUTSIDE`` or ``CLASSIFIER`` for other tokens.
    """
    places = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
    places[np.array([sequence != 1 for sequence in encoding.sequence_ids], dtype=np.bool_)] = OUTSIDE
    places[encoding.ids.index(cls_token_id) if cls_token_id in encoding.ids else 0] = CLASSIFIER
    return places


def answer_tokens(places: NDArray[np.int32], start: int, end: int) -> tuple[int, int] | None:
    """The first and last token of an answer.

    Args:
        places: (tokens, 2) as by :func:`context_places`.
        start: first character of the answer.
        end: one past its last character.

    Returns:
        Positions of both tokens; None where the window does not hold the whole answer.
    """
    inside = np.flatnonzero(places[:, 0] >= 0)
    if not len(inside) or places[inside[0], 0] > start or places[inside[-1], 1] < end:
        return None
    first = inside[np.searchsorted(places[inside, 1], start, side="right")]
    last = inside[np.searchsorted(places[inside, 0], end, side="left") - 1]
    return (int(first), int(last)) if first <= last else None


def ranked_spans(logits: NDArray[np.float32], places: NDArray[np.int32], count: int) -> list[tuple[float, int, int]]:
    """Spans of the context by the sum of their start and end logit, of all that are short enough, largest first.

    Args:
        logits: (tokens, 2) start and end.
        places: (tokens, 2) as by :func:`context_places`.
        count: how many at most.

    Returns:
        Of each its sum, first character and one past its last character.
    """
    sums = _span_sums(logits, places).ravel()
    count = min(count, int(np.isfinite(sums).sum()))
    chosen = np.argpartition(-sums, count - 1)[:count] if count else np.zeros(0, dtype=np.int64)
    order = chosen[np.argsort(-sums[chosen], kind="stable")]
    return [_place(float(sums[number]), number, places) for number in order.tolist()]


def best_span(logits: NDArray[np.float32], places: NDArray[np.int32]) -> tuple[float, int, int]:
    """The span of the context with the largest sum of start and end logit, of all that are short enough.

    Args:
        logits: (tokens, 2) start and end.
        places: (tokens, 2) as by :func:`context_places`.

    Returns:
        Its sum, first character and one past its last character; a sum of minus infinity where nothing of the
        context is in the window.
    """
    sums = _span_sums(logits, places)
    return _place(float(sums.max()), int(sums.argmax()), places)


def _span_sums(logits: NDArray[np.float32], places: NDArray[np.int32]) -> NDArray[np.float32]:
    """(tokens, LONGEST_ANSWER): of all spans from one token to each of those after it; impossible ones are infinite."""
    inside = places[:, 0] >= 0
    starts = np.where(inside, logits[:, 0], IMPOSSIBLE)
    ends = np.where(inside, logits[:, 1], IMPOSSIBLE)
    padded = np.append(ends, np.full(LONGEST_ANSWER - 1, IMPOSSIBLE))
    sums: NDArray[np.float32] = starts[:, None] + np.lib.stride_tricks.sliding_window_view(padded, LONGEST_ANSWER)
    return sums


def _place(score: float, number: int, places: NDArray[np.int32]) -> tuple[float, int, int]:
    first, more = divmod(number, LONGEST_ANSWER)
    return score, int(places[first, 0]), int(places[min(first + more, len(places) - 1), 1])


def classifier_position(places: NDArray[np.int32]) -> int:
    """Position of the classifier token, by the places (tokens, 2) of a window."""
    return int(np.flatnonzero(places[:, 0] == CLASSIFIER)[0])
