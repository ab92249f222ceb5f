import numpy as np
import pytest

from pocketbert.errors import DataError
from pocketbert.tasks.windows import LONGEST_ANSWER, best_span, ranked_spans

QUESTION = "what saw it"
CONTEXT = "the cat saw a dog near the house. it was in the barn and very cold"
LONG = CONTEXT * 8


def brute_force(logits, inputs, tokenizer_offsets):
    """Probabilities of all spans of a single window, by trying each."""
    starts, ends = logits
    inside = [n for n, sequence in enumerate(inputs.sequence_ids(0)) if sequence == 1]
    scores = {
        (tokenizer_offsets[a][0], tokenizer_offsets[b][1]): starts[a] + ends[b]
        for a in inside
        for b in inside
        if a <= b < a + LONGEST_ANSWER
    }
    total = np.log(sum(np.exp(starts[n]) for n in inside)) + np.log(sum(np.exp(ends[n]) for n in inside))
    return scores, total, starts[0] + ends[0]


@pytest.fixture
def window(torch_logits):
    answer, inputs = torch_logits("question_answering", QUESTION, CONTEXT, return_offsets_mapping=False)
    offsets = inputs.encodings[0].offsets
    logits = answer.start_logits[0].numpy(), answer.end_logits[0].numpy()
    return brute_force(logits, inputs, offsets)


def test_the_answer_is_the_best_span_of_all(pipeline, window):
    scores, total, _ = window
    start, end = max(scores, key=scores.__getitem__)
    found = pipeline("question_answering")((QUESTION, CONTEXT))
    (best,) = found.answers
    assert (best.start, best.end, best.text) == (start, end, CONTEXT[start:end])
    assert best.score == pytest.approx(np.exp(scores[start, end] - total), rel=1e-3)
    assert found.no_answer == 0 and not found.truncated


def test_several_answers_lie_apart_and_fall_in_score(pipeline, window):
    scores, total, _ = window
    found = pipeline("question_answering")((QUESTION, CONTEXT), top_k=3).answers
    assert 1 < len(found) <= 3
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    for number, each in enumerate(found):
        assert each.score == pytest.approx(np.exp(scores[each.start, each.end] - total), rel=1e-3)
        assert all(each.end <= other.start or each.start >= other.end for other in found[:number])


def test_no_answer_is_one_of_the_possibilities(pipeline, window):
    scores, total, nothing = window
    found = pipeline("question_answering")((QUESTION, CONTEXT), no_answer=True)
    whole = np.logaddexp(total, nothing)
    assert found.no_answer == pytest.approx(np.exp(nothing - whole), rel=1e-3)
    assert bool(found.answers) == (max(scores.values()) >= nothing)


def test_an_answer_far_into_a_long_context_is_found(pipeline):
    found = pipeline("question_answering")((QUESTION, LONG), top_k=40)
    assert not found.truncated
    assert max(each.end for each in found.answers) > len(LONG) / 2
    assert all(LONG[each.start : each.end] == each.text for each in found.answers)
    assert pipeline("question_answering")((QUESTION, LONG), too_long="truncate").truncated


def test_a_question_that_leaves_no_room_is_told(pipeline):
    with pytest.raises(DataError, match=r"leaves \d+ of 48 tokens to the context"):
        pipeline("question_answering")(("what " * 60, CONTEXT))


@pytest.mark.parametrize("given", ["what", ("what",), ("what", 3), ("  ", CONTEXT)])
def test_what_is_no_question_is_told(pipeline, given):
    with pytest.raises(DataError):
        pipeline("question_answering")(given)


def test_an_empty_context_has_no_answer(pipeline):
    assert pipeline("question_answering")((QUESTION, "")).answers == []


def test_ranked_spans_begin_with_the_best():
    random = np.random.default_rng(0)
    for _ in range(50):
        logits = random.normal(size=(12, 2)).astype(np.float32)
        places = np.array([[-2, -2], [-1, -1], *[[n, n + 1] for n in range(9)], [-1, -1]], dtype=np.int32)
        ranked = ranked_spans(logits, places, 500)
        assert ranked[0] == best_span(logits, places)
        assert [each[0] for each in ranked] == sorted((each[0] for each in ranked), reverse=True)
        assert len(ranked) == 9 * 10 / 2
        assert ranked_spans(logits, places, 7) == ranked[:7]
