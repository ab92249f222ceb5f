import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

import tiny
from exported import make_model
from pocketbert.engines.encoding import TextEncoder
from pocketbert.errors import DataError, ModelError


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def folder(request, tmp_path_factory):
    return make_model(tmp_path_factory.mktemp(request.param), "classification", request.param)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80), pair=st.none() | st.text(max_size=80))
def test_the_same_ids_as_transformers(folder, text, pair):
    # As a batch of one: alone, transformers takes an empty second text for none.
    pairs = None if pair is None else [pair]
    theirs = AutoTokenizer.from_pretrained(folder)([text], pairs, truncation=True, max_length=20)
    found = TextEncoder(folder, 20)(text, pair)
    for name, values in theirs.items():
        assert found[name] == values[0], name


def test_words_are_read_as_words(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = ["the", "cat", "unlike"]
    if not tokenizer.backend_tokenizer.to_str().count('"add_prefix_space":false'):
        expected = tokenizer(words, is_split_into_words=True)["input_ids"]
        assert TextEncoder(folder, 20)(words)["input_ids"] == expected


def test_of_spans_only_the_context_is_cut(folder):
    question = "the cat the cat the cat"
    alone = TextEncoder(folder, 48)(question)["input_ids"]
    limit = len(alone) + 4
    found = TextEncoder(folder, limit, spans=True)(question, "dog " * 40)["input_ids"]
    assert len(found) == limit and found[: len(alone) - 1] == alone[:-1]


def test_a_question_that_leaves_no_room_is_refused(folder):
    with pytest.raises(DataError, match="cannot be encoded"):
        TextEncoder(folder, 8, spans=True)("cat " * 40, "dog " * 40)


def test_a_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"tokenizer\.json: cannot be read as a tokenizer"):
        TextEncoder(tmp_path, 20)
