import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.scheme import IOBES

from pocketbert.errors import DataError
from pocketbert.tasks.tags import (
    convert_tags,
    detect_scheme,
    f1_of_counts,
    order_tags,
    span_counts,
    span_scores,
)


@pytest.mark.parametrize(
    ("rows", "scheme"),
    [
        (["B-PER I-PER O B-LOC", "O O"], "iob2"),
        (["B-PER I-PER B-PER O"], "iob2"),
        (["O O"], "iob2"),
        (["B O I B"], "iob2"),
        (["I-PER I-PER O I-LOC"], "iob1"),
        (["I-PER B-PER O", "I-LOC I-PER"], "iob1"),
        (["O I-PER O", "B-PER O"], "iob2"),
        (["B-PER E-PER S-LOC O"], "iobes"),
        (["S-LOC O"], "iobes"),
        (["B-PER L-PER U-LOC O"], "bilou"),
        (["DET NOUN VERB"], "plain"),
        (["PER O LOC"], "plain"),
    ],
)
def test_schemes_are_told_apart(rows, scheme):
    assert detect_scheme([row.split() for row in rows], {}) == scheme


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("B-PER PER O", "a.conll row 3: tag 'PER' has no prefix"),
        ("B-PER U-PER S-LOC", "a.conll row 3: tag 'S-LOC' is of IOBES, while other tags are of BILOU"),
    ],
)
def test_mixed_tags_are_refused(row, message):
    with pytest.raises(DataError, match=message):
        detect_scheme([row.split()], dict.fromkeys(row.split(), "a.conll row 3"))


@pytest.mark.parametrize(
    ("tags", "scheme", "converted"),
    [
        ("I-PER I-PER B-PER O I-LOC I-PER", "iob1", "B-PER I-PER B-PER O B-LOC B-PER"),
        ("B-PER I-PER L-PER U-LOC O", "bilou", "B-PER I-PER E-PER S-LOC O"),
        ("O I-PER B-PER", "iob2", "O I-PER B-PER"),
        ("LOC UNIT O", "plain", "LOC UNIT O"),
    ],
)
def test_schemes_are_converted(tags, scheme, converted):
    assert convert_tags(tags.split(), scheme) == converted.split()


def test_tags_are_ordered_by_type():
    tags = ["I-PER", "O", "B-LOC", "B-PER", "I-LOC", "O"]
    assert order_tags(tags) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def test_span_scores_by_hand():
    true = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG"], ["B-PER", "O"]]
    found = [["B-PER", "I-PER", "O", "O"], ["B-ORG", "I-ORG"], ["I-PER", "O"]]
    # Right: PER, and PER that starts with I-. Predicted 3, true 4; 4 of 8 tags are right.
    scores = span_scores(found, true, "iob2")
    assert scores == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 4),
        "span_f1": pytest.approx(2 * 2 / 7),
        "accuracy": pytest.approx(4 / 8),
    }
    assert span_counts(found, true, "iob2").tolist() == [[1, 1, 2], [0, 1, 1], [1, 1, 1]]


def test_iobes_is_strict():
    true = [["B-PER", "E-PER", "S-LOC"]]
    # The unfinished PER is no span.
    assert span_scores([["B-PER", "I-PER", "S-LOC"]], true, "iobes")["precision"] == 1.0
    assert span_scores([["B-PER", "I-PER", "S-LOC"]], true, "iobes")["recall"] == 0.5


def test_plain_tags_are_spans_of_equal_neighbours():
    true, found = [["PER", "PER", "O", "LOC"]], [["PER", "PER", "LOC", "LOC"]]
    assert span_counts(found, true, "plain").tolist() == [[1, 2, 2]]
    # Types that differ in their first letter alone stay different.
    assert span_counts([["CAT"]], [["BAT"]], "plain").tolist() == [[0, 1, 1]]


def test_nothing_found_and_nothing_true_is_zero():
    assert span_scores([["O", "O"]], [["O", "O"]], "iob2")["span_f1"] == 0.0
    assert f1_of_counts(np.zeros(3, dtype=np.int64)) == 0.0


@st.composite
def tagged(draw, prefixes):
    tags = st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("X", "Y-Z"))])
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    sides = [[draw(st.lists(tags, min_size=n, max_size=n)) for n in lengths] for _ in range(2)]
    index = draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    return sides[0], sides[1], index


@settings(max_examples=100, deadline=None)
@given(case=tagged("BI"))
def test_counts_equal_seqeval(case):
    found, true, index = case
    counts = span_counts(found, true, "iob2")[index].sum(axis=0)
    expected = f1_score([true[i] for i in index], [found[i] for i in index], zero_division=0)
    assert f1_of_counts(counts) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(case=tagged("BIES"))
def test_counts_equal_seqeval_in_strict_mode(case):
    found, true, index = case
    counts = span_counts(found, true, "iobes")[index].sum(axis=0)
    expected = f1_score(
        [true[i] for i in index], [found[i] for i in index], mode="strict", scheme=IOBES, zero_division=0
    )
    assert f1_of_counts(counts) == pytest.approx(expected)
    assert span_scores(found, true, "iobes")["span_f1"] == pytest.approx(
        f1_score(true, found, mode="strict", scheme=IOBES, zero_division=0)
    )
