"""What recipes name as data."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard

from memory import least_peak
from pocketbert.data import embedded, hub
from pocketbert.data.records import Record, Skipped
from pocketbert.data.sources import fingerprint, read_records, read_texts, resolve
from pocketbert.errors import DataError

ROWS = [{"text": "first text", "label": "a"}, {"text": "second text, longer", "label": "b"}]
CONTENT = {
    "a.csv": b'text,label\nfirst text,a\n"second text, longer",b\n',
    "a.tsv": b"text\tlabel\nfirst text\ta\nsecond text, longer\tb\n",
    "a.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
    "a.ndjson": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
    "a.json": json.dumps(ROWS).encode(),
}


def make(folder: Path, name: str) -> str:
    """A file of the two rows, compressed as its name says."""
    inner = name.removesuffix(".gz").removesuffix(".zst")
    if inner.endswith(".parquet"):
        sink = pa.BufferOutputStream()
        pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), sink)
        content = sink.getvalue().to_pybytes()
    elif inner.endswith(".arrow"):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, pa.Table.from_pylist(ROWS).schema) as writer:
            writer.write_table(pa.Table.from_pylist(ROWS))
        content = sink.getvalue().to_pybytes()
    else:
        content = CONTENT[inner]
    if name.endswith(".gz"):
        content = gzip.compress(content)
    elif name.endswith(".zst"):
        content = zstandard.compress(content)
    (folder / name).write_bytes(content)
    return str(folder / name)


FORMATS = [*CONTENT, "a.parquet", "a.arrow"]


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows_and_texts(tmp_path, name, compression):
    source = make(tmp_path, name + compression)
    records = list(read_records([source]))
    assert [record.values for record in records] == ROWS
    assert [record.where for record in records] == [f"{source} row 1", f"{source} row 2"]
    assert list(read_texts([source])) == ["first text", "second text, longer"]
    assert list(read_texts([source], "label")) == ["a", "b"]


def test_sources_follow_one_another_and_globs_are_sorted(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    for name in ("b.txt", "a.txt", ".hidden.txt", "c.other"):
        (tmp_path / "parts" / name).write_text(name)
    (tmp_path / "z.txt").write_text("z.txt")
    monkeypatch.chdir(tmp_path)
    assert [r.values["text"] for r in read_records(["z.txt", "parts/*.txt"])] == ["z.txt", "a.txt", "b.txt"]
    assert resolve([f"{tmp_path}/**/*.txt"])[0] == tmp_path / "parts" / "a.txt"
    assert resolve(["z.txt", "*.txt"]) == [Path("z.txt")]


def test_a_name_with_glob_signs_is_a_file_when_it_exists(tmp_path):
    (tmp_path / "a[1].txt").write_text("x")
    assert resolve([str(tmp_path / "a[1].txt")]) == [tmp_path / "a[1].txt"]


def test_columns_named_by_number_mean_no_header(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("fine\t1,2\tx1\nbad\t3\tx2\n")
    assert [r.values["1"] for r in read_records([str(path)], columns=["0", None, "1"])] == ["1,2", "3"]
    assert [r.values["1,2"] for r in read_records([str(path)], columns=["0", "label"])] == ["3"]
    assert list(read_texts([str(path)], "0")) == ["fine", "bad"]


def test_layouts_choose_the_reader(tmp_path):
    cola = tmp_path / "cola.txt"
    cola.write_text("x\t1\t\tA sentence.\n")
    assert next(read_records([str(cola)], layout="cola")).values == {"text": "A sentence.", "label": "1"}
    conll = tmp_path / "train.txt"
    conll.write_text("word NN O\n")
    assert next(read_records([str(conll)], layout="conll")).values == {"tokens": ["word"], "tags": ["O"]}
    rows = tmp_path / "a.jsonl"
    rows.write_text('{"premise": "a", "hypothesis": "b", "label": 1}\n')
    expected = {"text": "a", "pair": "b", "label": "neutral"}
    assert next(read_records([str(rows)], layout="mnli")).values == expected
    flat = tmp_path / "flat.jsonl"
    flat.write_text('{"question": "q", "context": "abc", "answers": {"text": ["b"], "answer_start": [0]}}\n')
    with pytest.raises(DataError, match=r"flat\.jsonl row 1: the answer 'b' is not at answer_start 0"):
        list(read_records([str(flat)], layout="squad"))


def test_nested_squad_is_recognised_without_a_layout(tmp_path):
    path = tmp_path / "a.json.gz"
    question = {"id": "1", "question": "q", "answers": [{"text": "b", "answer_start": 1}]}
    value = {"data": [{"title": "t", "paragraphs": [{"context": "abc", "qas": [question]}]}]}
    path.write_bytes(gzip.compress(json.dumps(value).encode()))
    assert next(read_records([str(path)])).values["answers"] == {"text": ["b"], "answer_start": [1]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gone.csv", r"gone\.csv: no such file"),
        ("*.csv", r"\*\.csv: no file matches this glob"),
        (".", r"\.: a folder; name its files with a glob, such as \*\.jsonl"),
        ("data/**.csv", r"data/\*\*\.csv: \*\* is a part of the path by itself; write \*\*/\*\.csv"),
        ("~nobody-of-this-name/a.csv", r"~nobody-of-this-name/a\.csv: ~nobody-of-this-name is the home of nobody here"),
    ],
)
def test_missing_sources_are_told_before_any_row_is_read(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.txt").write_text("x")
    for read in (read_records, read_texts, fingerprint):
        with pytest.raises(DataError, match=message):
            read(["there.txt", source])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", b"x", r"a\.docx: unknown ending '\.docx'; known are \.csv, \.tsv, \.json"),
        ("a", b"x", "unknown ending ''"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"text,label\n", "no row to read"),
        ("a.csv", b"\n\n", "no row to read"),
        ("a.jsonl", b"\n", "no row to read"),
        ("a.json", b"[]", "no row to read"),
        ("a.txt", b" \n", "no row to read"),
        ("a.conll", b"-DOCSTART- O\n\n", "no row to read"),
        ("a.csv.gz", b"text,label", "the compressed file is damaged"),
        ("a.jsonl.zst", b"{}", "the compressed file is damaged"),
        ("a.parquet", b"PAR1 but not", "damaged, or not what its name says"),
    ],
)
def test_files_without_rows_are_told(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for on_error in ("fail", "skip"):
        with pytest.raises(DataError, match=message):
            list(read_records([str(tmp_path / name)], on_error=on_error))


def test_when_every_row_is_bad_skipping_does_not_hide_it(tmp_path):
    (tmp_path / "a.jsonl").write_text("nonsense\n")
    with pytest.raises(DataError, match=r"no row to read; left out, among others: .*row 1: not valid JSON"):
        list(read_records([str(tmp_path / "a.jsonl")], on_error="skip"))


def test_skipped_rows_are_counted_over_all_files(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,1\nb\n")
    (tmp_path / "b.jsonl").write_text('{"text": "c"}\n{\n[]\n')
    skipped = Skipped()
    records = list(read_records([str(tmp_path / "*.*")], on_error="skip", skipped=skipped))
    assert [record.values["text"] for record in records] == ["a", "c"]
    assert skipped.count == 3
    assert [reason.partition(":")[0][-5:] for reason in skipped.reasons] == ["row 2", "row 2", "row 3"]


def test_texts_of_plain_files_are_documents_and_of_tables_the_text_column(tmp_path):
    (tmp_path / "a.txt").write_text("one\ndocument\n\nanother\n")
    reviews = ["short", None, "word " * 40_000]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"id": "x", "review": r}) + "\n" for r in reviews))
    texts = list(read_texts([str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")]))
    assert texts[:3] == ["one document", "another", "short"]
    assert " ".join(texts[3:]).split() == ["word"] * 40_000
    assert max(map(len, texts)) <= 100_000
    with pytest.raises(DataError, match=r"there is no column 'reviews' \(did you mean 'review'\?\)"):
        list(read_texts([str(tmp_path / "b.jsonl")], "reviews"))


def test_a_guessed_text_column_is_noted_once(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"id": "x", "review": "some words"}\n')
    (tmp_path / "c.jsonl").write_text('{"id": "x", "sentence": "more words"}\n')
    notes = []
    assert len(list(read_texts([str(tmp_path / "*.jsonl")], notes=notes))) == 3
    assert notes == ["guessed columns: text_column='review'", "guessed columns: text_column='sentence'"]
    notes.clear()
    assert list(read_texts([str(tmp_path / "a.jsonl")], "id", notes=notes)) == ["x"]
    assert notes == []


def test_texts_must_be_texts(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": 5}\n')
    with pytest.raises(DataError, match=r"a\.jsonl row 2: column 'text' holds int, not text"):
        list(read_texts([str(tmp_path / "a.jsonl")]))


def test_embedded_sources():
    assert next(read_records(["embedded:areas"], split="test")).values.keys() == {"text", "label"}
    assert list(read_texts(["embedded:text"])) == list(embedded.texts())
    assert [r.values["text"] for r in read_records(["embedded:text"], split="test")] == list(embedded.texts("test"))
    with pytest.raises(DataError, match="embedded:nothing: no such data; there are embedded:text and embedded:areas"):
        list(read_records(["embedded:nothing"]))


class HubRows(list):
    features: ClassVar = {"label": SimpleNamespace(names=["negative", "positive"])}


def test_hub_sources(monkeypatch):
    def load(name, configuration):
        return {"train": HubRows([{"sentence": "a", "label": 1, "idx": 0}])}

    monkeypatch.setattr(hub, "_load", load)
    named = next(read_records(["hub:org/glue:sst2"]))
    assert (named.values["label"], named.classes) == ("positive", {"label": ["negative", "positive"]})
    # A layout has names of its own for the numbers.
    assert list(read_records(["hub:org/glue:sst2"], layout="sst2")) == [
        Record({"text": "a", "label": "1"}, "hub:org/glue:sst2 train row 1")
    ]
    assert list(read_texts(["hub:org/glue:sst2"])) == ["a"]


def test_fingerprint_follows_contents_names_and_order_but_not_folders(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("content")
    first = fingerprint([str(tmp_path / "one" / "*.txt")])
    assert len(first) == 64
    assert fingerprint([str(tmp_path / "two" / "a.txt")]) == first
    (tmp_path / "two" / "a.txt").write_text("Content")
    assert fingerprint([str(tmp_path / "two" / "a.txt")]) != first
    (tmp_path / "one" / "a.txt").rename(tmp_path / "one" / "b.txt")
    assert fingerprint([str(tmp_path / "one" / "b.txt")]) != first
    assert fingerprint(["hub:a", "embedded:text"]) == fingerprint(["hub:a", "embedded:text"])
    assert fingerprint(["hub:a", "hub:b"]) != fingerprint(["hub:b", "hub:a"])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.csv", b"%s,label\n"),
        ("a.jsonl.zst", b'{"text": "%s"}\n'),
        ("a.txt.gz", b"%s, without a line end "),
    ],
)
def test_reading_takes_constant_memory(tmp_path, name, line):
    content = b"text,label\n" * (name == "a.csv") + line % (b"some text " * 100) * 12_000
    if name.endswith("gz"):
        content = gzip.compress(content, 1)
    elif name.endswith("zst"):
        content = zstandard.compress(content)
    (tmp_path / name).write_bytes(content)

    def read():
        assert sum(len(text) for text in read_texts([str(tmp_path / name)])) > 11_900_000

    assert least_peak(read) < 4_000_000


def test_real_files_of_other_layouts(shared_data):
    def count(name, **options):
        return sum(1 for _ in read_records([str(shared_data / name)], **options))

    assert count("ag_news/test.csv", columns=["0", "2"]) == 7_600
    assert count("ag_news/train.jsonl") == 23_103
    assert count("goemotions/*.tsv", columns=["0", "1"]) == 43_410 + 5_426 + 5_427
    assert count("ner/snips/train.jsonl") == 13_084
    assert count("nli/snli_cad/test.tsv", layout="mnli") == 2_000
    assert count("imdb/imdb.test.jsonl.zst") == 25_000


def test_real_texts(shared_data):
    texts = list(read_texts([str(shared_data / "wikitext" / "wikitext103.wiki.valid.tokens")]))
    # The file's own count is 217,646 with a mark for each of its 3,760 line ends.
    assert sum(len(text.split()) for text in texts) == 217_646 - 3_760


def test_what_is_wrong_with_the_table_of_a_corpus_can_be_mended_as_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    for column, message in ((None, "cannot tell which column is the text"), ("c", "there is no column 'c'")):
        with pytest.raises(DataError, match=f"{message}; set text_column: to one of the columns 'a', 'b'"):
            list(read_texts([str(path)], column))
    path.write_text("text,b\none,two\nragged\n")
    with pytest.raises(DataError, match=r"; mend the row$"):
        list(read_texts([str(path)]))
