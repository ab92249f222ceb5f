"""How texts are read before and after, against counts by hand."""

import pytest
from transformers import BertTokenizerFast

import tiny
from pocketbert.errors import DataError
from pocketbert.shrink.coverage import Coverage, Texts, compare_readings, row_texts, source_texts
from pocketbert.tasks.base import Example

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizers(*dropped):
    """The tokenizer of the tests, the same without some pieces, and old id to new id."""
    before, after = tiny.make_tokenizer("bert"), None
    kept = [piece for piece in sorted(before.get_vocab(), key=before.get_vocab().get) if piece not in dropped]
    after = type(before)(vocab={piece: number for number, piece in enumerate(kept)})
    return before, after, {before.get_vocab()[piece]: number for number, piece in enumerate(kept)}


def test_texts_are_compared_by_their_pieces():
    before, after, numbers = tokenizers("cat", "owl", "z")
    texts = Texts("mine", lambda: [["the cat", "the dog"], ["an owl zoo !", "a dog [MASK]"]])
    found = compare_readings(texts, before, after, numbers)
    assert (found.texts, found.unchanged, found.words) == (4, 2, 2 + 2 + 4 + 3)
    # Before: the cat | the dog | a ##n owl z ##o ##o ? | a dog [MASK]. After: c ##a ##t, o ##w ##l, ? for zoo.
    assert found.pieces == (2 + 2 + 7 + 3, 4 + 2 + 7 + 3)
    assert found.unknown == (1, 2)
    assert not found.broken
    assert found.measured() == {
        "texts": 4,
        "words": 11,
        "unchanged": 0.5,
        "pieces_per_word": {"before": 14 / 11, "after": 16 / 11},
        "unknown_rate": {"before": 1 / 11, "after": 2 / 11},
    }


def test_a_word_with_two_unknown_pieces_is_one_unknown_word():
    tokenizer = tiny.make_tokenizer("albert")
    numbers = {number: number for number in range(len(tokenizer))}
    found = compare_readings(Texts("mine", lambda: [["the c9a9t 9"]]), tokenizer, tokenizer, numbers)
    assert found.words == 3 and found.unknown == (2, 2)


def test_a_tokenizer_that_reads_its_own_pieces_otherwise_is_found_out():
    before, _, _ = tokenizers()
    other = tokenizers("dog")[1]
    found = compare_readings(
        Texts("mine", lambda: [["the", "a dog"], [["the", "dog"]]]), before, other, {n: n for n in range(len(before))}
    )
    assert found.broken == "the dog" and found.unchanged == 1


def test_a_word_that_becomes_known_is_a_change_and_no_fault():
    # The longest piece that fits leads nowhere; without it shorter ones spell the word.
    before = BertTokenizerFast(vocab={piece: n for n, piece in enumerate([*SPECIAL, "ab", "a", "##bc", "the"])})
    after = BertTokenizerFast(vocab={piece: n for n, piece in enumerate([*SPECIAL, "a", "##bc", "the"])})
    numbers = {old: after.get_vocab()[piece] for piece, old in before.get_vocab().items() if piece != "ab"}
    found = compare_readings(Texts("mine", lambda: [["the abc", "the"]]), before, after, numbers)
    assert found.unknown == (1, 0) and found.unchanged == 1
    assert not found.broken


def test_only_much_change_is_warned_about():
    quiet = Coverage("calm", texts=100, unchanged=95, words=1000, pieces=(1000, 1010), unknown=(9, 10))
    assert quiet.warnings() == []
    changed = Coverage("other.txt", texts=100, unchanged=90, words=1000, pieces=(1000, 1500), unknown=(0, 0))
    assert changed.warnings() == [
        "other.txt: 0.00% of the words are unknown (before 0.00%), and 10.0% of the texts are read in other pieces "
        "than before (1.500 a word, before 1.000); answers on it may differ: name such text as corpus or keep if the "
        "model is to read it"
    ]
    rarer = Coverage("far.txt", texts=100, unchanged=99, words=1000, pieces=(1000, 1000), unknown=(0, 2))
    assert rarer.warnings()[0].startswith("far.txt: 0.20% of the words are unknown (before 0.00%)")
    assert "answers on it may differ" in rarer.warnings()[0]
    foreign = Coverage("foreign.txt", texts=100, unchanged=100, words=1000, pieces=(1000, 1000), unknown=(400, 400))
    assert foreign.warnings()[0].startswith("foreign.txt: 40.00% of the words are unknown (before 40.00%)")
    assert "answers" not in foreign.warnings()[0]


def test_rows_give_both_texts_and_each_once():
    rows = [
        Example("who", "a long context", None, "1"),
        Example("when", "a long context", None, "2"),
        Example("who", None, None, "3"),
    ]
    assert [list(batch) for batch in row_texts("rows", rows).batches()] == [["who", "a long context", "when"]]
    words = [Example(["the", "cat"], None, None, "1"), Example(["the", "cat"], None, None, "2")]
    assert [list(batch) for batch in row_texts("rows", words).batches()] == [[["the", "cat"]]]


def test_sources_are_read_anew_each_time(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\nthree\n")
    texts = source_texts("mine", [str(path)], None, [])
    assert list(texts.batches()) == list(texts.batches()) == [["one two", "three"]]


def test_a_source_without_text_is_refused(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("\n")
    before, after, numbers = tokenizers()
    with pytest.raises(DataError, match=r"empty\.txt: no text to read"):
        compare_readings(source_texts(str(path), [str(path)], None, []), before, after, numbers)
