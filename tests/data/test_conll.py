"""CoNLL layouts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketbert.data.conll import read_conll
from pocketbert.data.lines import RowPolicy
from pocketbert.errors import DataError

WORD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=8).filter(str.strip)
TAG = st.sampled_from(["O", "B-person", "I-person"])
SENTENCES = st.lists(st.lists(st.tuples(WORD, TAG), min_size=1, max_size=5), min_size=1, max_size=5)


def write(tmp_path, content):
    path = tmp_path / "a.conll"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@settings(deadline=None)
@given(SENTENCES, st.sampled_from(["\t", " ", " NN I-NP ", "\tNN\t"]), st.sampled_from(["\n", "\t\n", " \r\n"]))
def test_round_trip(tmp_path_factory, sentences, gap, blank):
    content = blank.join("".join(f"{word}{gap}{tag}\n" for word, tag in sentence) for sentence in sentences)
    path = write(tmp_path_factory.mktemp("conll"), content)
    expected = [
        {"tokens": [word for word, _ in sentence], "tags": [tag for _, tag in sentence]} for sentence in sentences
    ]
    assert [record.values for record in read_conll(path, RowPolicy())] == expected


def test_the_published_layout_of_2003(tmp_path):
    path = write(tmp_path, "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP B-PER")
    records = list(read_conll(path, RowPolicy()))
    assert [record.values for record in records] == [
        {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]},
        {"tokens": ["Peter"], "tags": ["B-PER"]},
    ]
    assert records[1].where == f"{path} row 2"


def test_words_of_odd_characters_stay_words(tmp_path):
    path = write(tmp_path, "a\u00a0b\tO\n\u200b\tO\nx y\tB-z\n")
    assert next(read_conll(path, RowPolicy())).values == {
        "tokens": ["a\u00a0b", "\u200b", "x y"],
        "tags": ["O", "O", "B-z"],
    }


BAD_SENTENCES = {
    "ragged": (b"two NN O\nbad O\n", r"\(line 4\): 2 columns where the file began with 3"),
    "no tag": (b"two\n", r"\(line 3\): only a word; a tag is expected"),
    "no word": (b"\tNN\tO\n", r"\(line 3\): the word is empty"),
    "empty tag": (b"two\tNN\t\n", r"\(line 3\): the tag is empty"),
    "not UTF-8": (b"tw\xff NN O\n", r": byte 12 of the file is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD_SENTENCES)
def test_bad_sentences_fail_or_are_skipped(tmp_path, case):
    sentence, message = BAD_SENTENCES[case]
    path = write(tmp_path, b"one NN O\n\n" + sentence + b"\nthree NN O\n")
    with pytest.raises(DataError, match=rf"a\.conll row 2 ?{message}.*set on_error: skip"):
        list(read_conll(path, RowPolicy()))
    policy = RowPolicy("skip")
    records = list(read_conll(path, policy))
    assert [(r.values["tokens"], r.where[-1]) for r in records] == [(["one"], "1"), (["three"], "3")]
    assert policy.skipped.count == 1


def test_a_bad_last_line_is_located_without_a_line_end(tmp_path):
    path = write(tmp_path, "one O\ntwo")
    with pytest.raises(DataError, match=r"row 1 \(line 2\): only a word"):
        list(read_conll(path, RowPolicy()))


@pytest.mark.parametrize(
    ("name", "count"), [("wnut17train.conll", 3394), ("emerging.dev.conll", 1009), ("emerging.test.annotated", 1287)]
)
def test_real_files(shared_data, name, count):
    records = list(read_conll(shared_data / "ner" / "wnut17" / name, RowPolicy()))
    assert len(records) == count
    types = {tag.partition("-")[2] for record in records for tag in record.values["tags"]}
    assert types == {"", "corporation", "creative-work", "group", "location", "person", "product"}
