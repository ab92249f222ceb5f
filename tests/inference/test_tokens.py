import pytest

from pocketbert.errors import DataError
from pocketbert.inference.reading import WordSplitter
from pocketbert.inference.results import Word
from pocketbert.inference.tokens import TokenPipeline

TEXT = "the cat saw John's dog, near a very bright house!"


def words_of(tags):
    """Words of three letters, parted by a space, with these tags and scores of .5, .6, …"""
    return [Word("abc", 4 * n, 4 * n + 3, tag, 0.5 + n / 10) for n, tag in enumerate(tags)]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["O", "B-x", "I-x", "O"], [("x", 4, 11)]),
        (["B-x", "B-x", "I-x"], [("x", 0, 3), ("x", 4, 11)]),
        (["I-x", "I-x", "I-y"], [("x", 0, 7), ("y", 8, 11)]),
        (["S-x", "S-x", "B-y", "E-y"], [("x", 0, 3), ("x", 4, 7), ("y", 8, 15)]),
        (["O", "O"], []),
        (["x", "x", "O", "y"], [("x", 0, 7), ("y", 12, 15)]),
    ],
)
def test_tags_make_entities(tags, spans):
    pipeline = TokenPipeline.__new__(TokenPipeline)
    pipeline._prefixed = any("-" in tag for tag in tags)
    text = " ".join(["abc"] * len(tags))
    found = list(pipeline._entities(words_of(tags), text))
    assert [(each.type, each.start, each.end) for each in found] == spans
    assert all(each.text == text[each.start : each.end] for each in found)


def test_the_score_of_an_entity_is_the_mean_of_its_words():
    pipeline = TokenPipeline.__new__(TokenPipeline)
    pipeline._prefixed = True
    (found,) = pipeline._entities(words_of(["B-x", "I-x"]), "abc abc")
    assert found.score == pytest.approx(0.55)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_tags_are_torchs_and_places_are_of_the_text(pipeline, torch_logits, family):
    found = pipeline("token_classification", family)(TEXT)
    words = [word for word, _ in WordSplitter()(TEXT)]
    answer, inputs = torch_logits("token_classification", [words], family=family, is_split_into_words=True)
    labels = ["B-animal", "B-place", "O"]
    first = [inputs.word_ids(0).index(number) for number in range(len(words))]
    expected = [labels[answer.logits[0, place].argmax()] for place in first]
    assert [each.tag for each in found.words] == expected
    assert [TEXT[each.start : each.end] for each in found.words] == words == [each.text for each in found.words]
    assert all(TEXT[each.start : each.end] == each.text for each in found.entities)


def test_given_words_are_tagged_as_they_are(pipeline):
    words = ["the", "cat", "saw", "New York"]
    found = pipeline("token_classification")([words])[0]
    assert [each.text for each in found.words] == words
    assert [" ".join(words)[each.start : each.end] for each in found.words] == words


def test_words_beyond_the_first_window_are_tagged(pipeline):
    text = "the cat saw a dog near the house and " * 20
    found = pipeline("token_classification")(text)
    assert not found.truncated
    assert all(each.score > 0 for each in found.words)
    cut = pipeline("token_classification")(text, too_long="truncate")
    assert cut.truncated and cut.words[-1].tag == "O" and cut.words[-1].score == 0


@pytest.mark.parametrize("text", ["", "   ", "!", "😍"])
def test_texts_of_hardly_a_word(pipeline, text):
    assert len(pipeline("token_classification")(text).words) == len(text.strip())


@pytest.mark.parametrize("given", [["a", 3], ["a", ""], 3])
def test_what_are_no_words_is_told(pipeline, given):
    with pytest.raises(DataError, match="its words"):
        pipeline("token_classification")([given])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("John's «dog», in U.S. cost $5.99!", ["John's", "«", "dog", "»", ",", "in", "U.S", ".", "cost", "$5.99", "!"]),
        ("a\u00a0b\tc\nd", ["a", "b", "c", "d"]),
        ("", []),
    ],
)
def test_words_are_parted_as_people_write_them(text, words):
    found = WordSplitter()(text)
    assert [word for word, _ in found] == words
    assert [text[start:end] for _, (start, end) in found] == words
