"""CSV and TSV."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketbert.data.delimited import read_csv, read_tsv
from pocketbert.data.lines import RowPolicy
from pocketbert.errors import DataError

CELL = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)
)


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(records):
    return [dict(record.values) for record in records]


@settings(deadline=None)
@given(ROWS)
def test_csv_round_trip(tmp_path_factory, rows):
    names = [f"c{number}" for number in range(len(rows[0]))]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([names, *rows])
    path = write(tmp_path_factory.mktemp("csv"), "a.csv", buffer.getvalue())
    assert values(read_csv(path, RowPolicy())) == [dict(zip(names, row, strict=True)) for row in rows]


@settings(deadline=None)
@given(st.lists(st.lists(CELL.map(lambda c: c.translate({9: 32, 10: 32, 13: 32})), min_size=2, max_size=2), max_size=8))
def test_tsv_round_trip(tmp_path_factory, rows):
    content = "".join("\t".join(row) + "\n" for row in [["a", "b"], *rows])
    path = write(tmp_path_factory.mktemp("tsv"), "a.tsv", content)
    assert [list(record.values.values()) for record in read_tsv(path, RowPolicy())] == rows


def test_rows_are_counted_without_header_blank_lines_and_line_breaks_in_quotes(tmp_path):
    path = write(tmp_path, "a.csv", 'text,label\n"one\n\nstill one",x\n\n two ,y\r\n')
    records = list(read_csv(path, RowPolicy()))
    assert values(records) == [{"text": "one\n\nstill one", "label": "x"}, {"text": " two ", "label": "y"}]
    assert [record.where for record in records] == [f"{path} row 1", f"{path} row 2"]


def test_quotes_are_not_special_in_tsv(tmp_path):
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"an open quote\t1\n5" wide\t0\n')
    assert values(read_tsv(path, RowPolicy())) == [
        {"text": '"an open quote', "label": "1"},
        {"text": '5" wide', "label": "0"},
    ]


def test_without_header_columns_are_numbers(tmp_path):
    path = write(tmp_path, "a.csv", '"3","title","text"\n"4","other","words"\n')
    records = list(read_csv(path, RowPolicy(), header=False))
    assert values(records) == [{"0": "3", "1": "title", "2": "text"}, {"0": "4", "1": "other", "2": "words"}]
    assert records[1].where == f"{path} row 2"


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = write(tmp_path, "a.csv", b'\xef\xbb\xbf"text",label\nhello,1\n')
    assert values(read_csv(path, RowPolicy())) == [{"text": "hello", "label": "1"}]


BAD_ROWS = {
    "ragged, too many": (b"good,1\nbad,1,2\ngood,2\n", r"row 2: 3 field\(s\) where 2 are expected"),
    "ragged, too few": (b"good,1\nbad\ngood,2\n", r"row 2: 1 field\(s\) where 2 are expected"),
    "not UTF-8": (b"good,1\nbad \xff,1\ngood,2\n", r"row 2: byte 22 of the file is not UTF-8"),
    "broken inside quotes": (b'good,1\n"a\n\xe9",1\ngood,2\n', r"row 2: byte 21 of the file is not UTF-8"),
    "stray quote": (b'good,1\n"ba"d,1\ngood,2\n', r"row 2 \(lines 3 to 3\): .*look for a stray quote"),
    "carriage return": (b"good,1\nba\rd,1\ngood,2\n", r"row 2 \(lines 3 to 3\): new-line character"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_csv_rows_fail_or_are_skipped(tmp_path, case):
    content, message = BAD_ROWS[case]
    path = write(tmp_path, "a.csv", b"text,label\n" + content)
    with pytest.raises(DataError, match=rf"a\.csv {message}.*set on_error: skip"):
        list(read_csv(path, RowPolicy()))
    policy = RowPolicy("skip")
    records = list(read_csv(path, policy))
    assert values(records) == [{"text": "good", "label": "1"}, {"text": "good", "label": "2"}]
    assert records[1].where.endswith("row 3")
    assert policy.skipped.count == 1
    assert "row 2" in policy.skipped.reasons[0]


def test_a_quote_left_open_is_an_error_and_names_the_lines_it_swallowed(tmp_path):
    path = write(tmp_path, "a.csv", 'text,label\ngood,1\n"open,1\nlost,2\nlost,3\n')
    with pytest.raises(DataError, match=r"row 2 \(lines 3 to 5\): unexpected end of data"):
        list(read_csv(path, RowPolicy()))


def test_fields_longer_than_the_libraries_default_are_read(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\n" + "word " * 100_000 + ",1\n")
    assert len(values(read_csv(path, RowPolicy()))[0]["text"]) == 500_000


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("text,label,text", "the header names 'text' twice"),
        (",text,label", "column 1 has no name in the header"),
        ("text, ,label", "column 2 has no name in the header"),
    ],
)
def test_bad_headers_are_refused_under_both_policies(tmp_path, header, message):
    path = write(tmp_path, "a.csv", f"{header}\na,b,c\n")
    for on_error in ("fail", "skip"):
        with pytest.raises(DataError, match=message):
            list(read_csv(path, RowPolicy(on_error)))


def test_a_header_that_cannot_be_read_does_not_promote_the_first_row(tmp_path):
    path = write(tmp_path, "a.tsv", b"te\xffxt\tlabel\nhello\t1\n")
    for on_error in ("fail", "skip"):
        with pytest.raises(DataError, match=r"a\.tsv header: byte 2 .*save the file as UTF-8"):
            list(read_tsv(path, RowPolicy(on_error)))
    path = write(tmp_path, "a.csv", '"te"xt,label\nhello,1\n')
    with pytest.raises(DataError, match="the header cannot be read"):
        list(read_csv(path, RowPolicy("skip")))
