"""Whatever stands in a row: it is in the output as it was, or among the failed rows as it stood, and never in both."""

import base64
import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import content, failed, rows, run, write_rows

pytestmark = pytest.mark.usefixtures("quick")

ODD = "ab \"',;|\t\n\r\0\x0b\x1c\x85\u2028\u2029\ufeffé🙂\u0301"
VALUES = st.text(ODD, max_size=8)
TEXTS = st.one_of(VALUES, st.just("the cat"), st.just(" "), st.just(""))
PARTS = st.integers(1, 5)
property_test = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def raw_of(row):
    return base64.b64decode(row["raw_base64"]) if "raw_base64" in row else row["raw"].encode()


def csv_line(fields):
    text = io.StringIO()
    csv.writer(text, lineterminator="", quoting=csv.QUOTE_ALL).writerow(fields)
    return text.getvalue().encode()


CSV_ROWS = st.lists(
    st.one_of(
        st.tuples(st.just(True), st.tuples(VALUES, TEXTS)),
        st.tuples(
            st.just(False), st.sampled_from([b'"a"', b"a,b,c", b"\xff,the cat", b'x,"\xc3"', b"a\rb,c", b'"a"b,c'])
        ),
    ),
    min_size=1,
    max_size=12,
)


@property_test
@given(items=CSV_ROWS, end=st.sampled_from([b"\n", b"\r\n"]), bom=st.booleans(), last=st.booleans(), size=PARTS)
def test_csv(tmp_path_factory, items, end, bom, last, size):
    folder = tmp_path_factory.mktemp("csv")
    lines = [csv_line(value) if good else value for good, value in items]
    raw = b"\xef\xbb\xbf" * bom + end.join([b"key,text", *lines]) + end * last
    (folder / "in.csv").write_bytes(raw)
    run(folder / "in.csv", folder / "out.csv", part_rows=size)
    good = [value for good, value in items if good and value[1].strip()]
    found = csv.reader(io.StringIO(content(folder / "out.csv").decode(), newline=""), strict=True)
    assert [tuple(row[:2]) for row in found] == [("key", "text"), *good]
    bad = [
        (number, line)
        for number, (line, (good, value)) in enumerate(zip(lines, items, strict=True), start=1)
        if not good or not value[1].strip()
    ]
    assert [(row["row"], raw_of(row)) for row in failed(folder / "out.csv")] == bad


TSV_ROWS = st.lists(
    st.tuples(VALUES, TEXTS).map(lambda row: tuple(each.replace("\t", " ").replace("\n", " ") for each in row)),
    min_size=1,
    max_size=12,
)


@property_test
@given(items=TSV_ROWS, size=PARTS)
def test_tsv(tmp_path_factory, items, size):
    folder = tmp_path_factory.mktemp("tsv")
    items = [(key, text.rstrip("\r")) for key, text in items]  # with the line's end that would be its end
    (folder / "in.tsv").write_bytes("".join(f"{key}\t{text}\n" for key, text in [("key", "text"), *items]).encode())
    run(folder / "in.tsv", folder / "out.tsv", part_rows=size)
    found = [tuple(line.split("\t")[:2]) for line in content(folder / "out.tsv").decode().split("\n")[:-1]]
    assert found == [("key", "text"), *[row for row in items if row[1].strip()]]
    bad = [(number, "\t".join(row).encode()) for number, row in enumerate(items, start=1) if not row[1].strip()]
    assert [(row["row"], raw_of(row)) for row in failed(folder / "out.tsv")] == bad


OBJECTS = st.fixed_dictionaries(
    {"text": st.one_of(TEXTS, st.none(), st.integers())},
    optional={"x": VALUES, "": st.floats(allow_nan=False, allow_infinity=False)},
)
NO_OBJECTS = (b"[1]", b'{"text": "a"', b'{"text": "\xff"}', b'{"text": "\\ud800"}', b"nul")
JSON_ROWS = st.lists(st.one_of(OBJECTS, st.sampled_from(NO_OBJECTS)), min_size=1, max_size=12)


@property_test
@given(
    items=JSON_ROWS, escaped=st.booleans(), blank=st.sampled_from([b"", b"\n", b" \r\n"]), bom=st.booleans(), size=PARTS
)
def test_json_lines(tmp_path_factory, items, escaped, blank, bom, size):
    folder = tmp_path_factory.mktemp("jsonl")
    lines = [item if isinstance(item, bytes) else json.dumps(item, ensure_ascii=escaped).encode() for item in items]
    raw = b"\xef\xbb\xbf" * bom + b"".join(blank + line + b"\n" for line in lines)
    first = b'{"text": "the cat", "first": true}\n'
    (folder / "in.jsonl").write_bytes(raw[: 3 * bom] + first + raw[3 * bom :])
    run(folder / "in.jsonl", folder / "out.jsonl", part_rows=size)
    good = [item for item in items if isinstance(item, dict) and isinstance(item["text"], str) and item["text"].strip()]
    _, *found = rows(folder / "out.jsonl")
    assert [{name: row[name] for name in row if name not in ("label", "score", "truncated")} for row in found] == good
    bad = [(number, line) for number, (line, item) in enumerate(zip(lines, items, strict=True), 2) if item not in good]
    assert [(row["row"], raw_of(row)) for row in failed(folder / "out.jsonl")] == bad


@property_test
@given(
    values=st.lists(st.tuples(VALUES, st.one_of(TEXTS, st.none())), min_size=1, max_size=12), size=PARTS, group=PARTS
)
def test_parquet(tmp_path_factory, values, size, group):
    folder = tmp_path_factory.mktemp("parquet")
    table = pa.table({"key": [key for key, _ in values], "text": pa.array([text for _, text in values], pa.string())})
    pa.parquet.write_table(table, folder / "in.parquet", row_group_size=group)
    run(folder / "in.parquet", folder / "out.parquet", part_rows=size, text="text")
    good = [row for row in values if row[1] is not None and row[1].strip()]
    assert [(row["key"], row["text"]) for row in rows(folder / "out.parquet")] == good
    bad = [(number, *row) for number, row in enumerate(values, start=1) if row not in good]
    told = [(row["row"], json.loads(row["raw"])) for row in failed(folder / "out.parquet")]
    assert [(number, raw["key"], raw["text"]) for number, raw in told] == bad


@property_test
@given(values=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8), size=PARTS)
def test_from_csv_to_parquet_and_back(tmp_path_factory, values, size):
    folder = tmp_path_factory.mktemp("there-and-back")
    write_rows(folder / "in.csv", [{"key": key, "text": f"the cat {more}"} for key, more in values])
    run(folder / "in.csv", folder / "out.parquet", part_rows=size)
    run(folder / "out.parquet", folder / "back.csv", part_rows=size, prefix="again_")
    for path in (folder / "out.parquet", folder / "back.csv"):
        assert [(row["key"], row["text"].removeprefix("the cat ")) for row in rows(path)] == values


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view()])
def test_text_that_is_not_utf8_in_a_table(tmp_path, kind):
    values = [b"the cat", b"\xff\xfe", b"a dog"]
    raw = pa.array(values, pa.binary() if kind == pa.string() else pa.binary_view())
    bad = pa.Array.from_buffers(kind, 3, raw.buffers())
    pa.parquet.write_table(pa.table({"text": bad, "n": [1, 2, 3]}), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert [row["n"] for row in rows(tmp_path / "out.parquet")] == [1, 3]
    (row,) = failed(tmp_path / "out.parquet")
    assert row["column"] == "text" and row["reason"] == f"{tmp_path}/in.parquet row 2: column 'text' is not UTF-8 text"
    assert json.loads(row["raw"]) == {"text": base64.urlsafe_b64encode(b"\xff\xfe").decode(), "n": 2}


def test_rows_that_do_not_fit_the_types_of_the_first_ones(tmp_path):
    first = [{"text": "the cat", "n": 1, "deep": {"a": 1}, "no": None} for _ in range(1000)]
    odd = [{"n": "1"}, {"deep": {"a": 1, "b": 2}}, {"n": 2.5}, {"more": 1}, {"deep": None}, {"n": 2**70}]
    write_rows(tmp_path / "in.jsonl", [*first, *({"text": "the cat", **each} for each in odd)])
    run(tmp_path / "in.jsonl", tmp_path / "out.parquet", part_rows=300)
    assert [row["n"] for row in rows(tmp_path / "out.parquet")] == [1] * 1000 + [None]
    told = [(row["row"], row["column"]) for row in failed(tmp_path / "out.parquet")]
    assert told == [(1001, "n"), (1002, "deep"), (1003, "n"), (1004, "more"), (1006, "n")]
    run(tmp_path / "in.jsonl", tmp_path / "out.csv", part_rows=300)
    assert [row["row"] for row in failed(tmp_path / "out.csv")] == [1004]


def test_a_late_row_with_a_name_that_the_predictions_have(tmp_path):
    write_rows(tmp_path / "in.jsonl", [*({"text": "the cat"} for _ in range(1000)), {"text": "a", "label": 1}])
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", part_rows=600)
    (row,) = failed(tmp_path / "out.jsonl")
    assert row["row"] == 1001 and "column 'label' is there already; choose another --prefix" in row["reason"]


def test_what_a_format_has_no_place_for(tmp_path):
    write_rows(tmp_path / "in.csv", [{"text": "the\tcat", "n": 1}, {"text": "the cat", "n": 2}])
    run(tmp_path / "in.csv", tmp_path / "out.tsv")
    assert [row["n"] for row in rows(tmp_path / "out.tsv")] == ["2"]
    (row,) = failed(tmp_path / "out.tsv")
    assert (row["row"], row["column"]) == (1, "text") and "a tab or a line break" in row["reason"]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_question_that_is_too_long_fails_alone(tmp_path, size):
    asked = [
        ("cat " * 60, "the cat"),
        ("where?", "the cat is near"),
        ("", "a"),
        ("dog " * 60, "a dog"),
        ("who?", "the dog"),
    ]
    values = [{"question": question, "context": context, "id": n} for n, (question, context) in enumerate(asked * 3)]
    write_rows(tmp_path / "in.jsonl", values)
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "question_answering", part_rows=size)
    assert [row["id"] % 5 for row in rows(tmp_path / "out.jsonl")] == [1, 4] * 3
    told = failed(tmp_path / "out.jsonl")
    assert [(row["row"] - 1) % 5 for row in told] == [0, 2, 3] * 3
    assert "row 1: the question 'cat cat" in told[0]["reason"] and "shorten it" in told[0]["reason"]
    assert json.loads(told[0]["raw"]) == values[0]
