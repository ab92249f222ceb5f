"""From files to files: every format into every other, every task's columns."""

import json
import math

import pyarrow as pa
import pyarrow.parquet
import pytest
from runs import content, expected, failed, rows, run, texts, write_rows

from exported import QUIET, exported, make_model
from pocketbert.errors import DataError, PocketBertError
from pocketbert.export.exporting import export
from pocketbert.inference import load
from pocketbert.predict import predict
from pocketbert.recipe import ExportStage, Limits

TEXTS = texts(40)
ROWS = [{"id": number, "text": text} for number, text in enumerate(TEXTS)]
ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl", ".csv.gz", ".csv.zst", ".tsv.gz", ".jsonl.zst")


@pytest.mark.parametrize("into", [*ENDINGS, ""])
@pytest.mark.parametrize("source", ENDINGS)
def test_every_format_becomes_every_other(tmp_path, source, into):
    made = run(write_rows(tmp_path / f"in{source}", ROWS), tmp_path / f"out{into}", part_rows=7)
    found = rows(tmp_path / f"out{into}")
    assert [(int(row["id"]), row["text"]) for row in found] == list(enumerate(TEXTS))
    answers = expected("classification", TEXTS)
    assert [row["label"] for row in found] == [answer.label for answer in answers]
    assert [float(row["score"]) for row in found] == pytest.approx([answer.score for answer in answers], abs=1e-5)
    assert {str(row["truncated"]).lower() for row in found} == {"false"}
    assert (made.rows, made.failed, made.parts, made.computed, made.failed_file) == (40, 0, 6, 40, None)
    assert list(found[0]) == ["id", "text", "label", "score", "truncated"]


def test_a_table_keeps_its_types_and_its_metadata(tmp_path):
    kept = {
        "text": pa.array(TEXTS, pa.large_string()),
        "kind": pa.array([None, "a", "b", "a"] * 10).dictionary_encode(),
        "at": pa.array(range(40), pa.timestamp("ns", "UTC")),
        "list": pa.array([[1, None]] * 40, pa.list_(pa.int8())),
        "bytes": pa.array([b"\xff"] * 40),
        "nan": pa.array([math.nan] * 40, pa.float32()),
    }
    schema = pa.schema([(name, array.type) for name, array in kept.items()], metadata={b"who": b"we"})
    table = pa.table(kept, schema=schema)
    pa.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=11)
    run(tmp_path / "in.parquet", tmp_path / "out.parquet", part_rows=9)
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    same = found.select(list(kept)).cast(schema)
    assert found.schema.metadata[b"who"] == b"we" and found.schema.field("kind").type == schema.field("kind").type
    assert repr(same.to_pylist()) == repr(table.to_pylist())
    assert found.schema.field("score").type == pa.float32()


@pytest.mark.parametrize("failing", [(), (0, 5, 6, 1999), range(2000)])
@pytest.mark.parametrize("into", ["out.parquet", "out"])
def test_a_table_keeps_views(tmp_path, failing, into):
    """The library takes no rows of views, and writes no struct that holds as many of them as here."""
    kinds = {
        "text": pa.string_view(),
        "raw": pa.binary_view(),
        "deep": pa.struct([("a", pa.string_view()), ("b", pa.list_(pa.field("element", pa.string_view())))]),
        "large": pa.large_list(pa.field("element", pa.string_view())),
        "map": pa.map_(pa.string_view(), pa.binary_view()),
    }
    texts = ["" if number in failing else f"the cat {number}" for number in range(2000)]
    values = [
        {"text": text, "raw": b"\xff", "deep": {"a": text, "b": [text, None]}, "large": [text], "map": [(text, b"")]}
        for text in texts
    ]
    table = pa.Table.from_pylist(values, pa.schema(kinds, metadata={"who": "we"}))
    with pa.parquet.ParquetWriter(tmp_path / "in.parquet", table.schema) as writer:
        for start in range(0, 2000, 500):  # what is written must not be a slice
            writer.write_table(pa.Table.from_pylist(values[start : start + 500], table.schema))
    run(tmp_path / "in.parquet", tmp_path / into, part_rows=1500, text="text")
    found = pa.parquet.read_table(tmp_path / into)
    assert found.schema.metadata == {b"who": b"we"}
    assert {name: found.schema.field(name).type for name in kinds} == kinds
    assert found.select(list(kinds)).to_pylist() == [row for row in table.to_pylist() if row["text"]]


def test_objects_are_kept_as_they_stand(tmp_path):
    lines = [
        '{"text": "the cat", "big": 123456789012345678901234567890, "x": 1.10, "x": 2e400}',
        ' { "text":"the dog" , "deep": {"a": [null, {"b": "\\u2028 \\u0000"}]} } ',
    ]
    (tmp_path / "in.jsonl").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    first, second = content(tmp_path / "out.jsonl").decode().splitlines()
    assert first.startswith(lines[0][:-1]) and second.startswith(lines[1].strip()[:-1].rstrip())
    assert json.loads(second)["deep"] == {"a": [None, {"b": "\u2028 \0"}]} and json.loads(second)["label"]


def test_values_of_tables_as_text(tmp_path):
    values = {"text": ["the cat"], "n": [None], "yes": [True], "list": [[1, 2]], "day": pa.array([1], pa.date32())}
    pa.parquet.write_table(pa.table({**values, "nan": [math.nan]}), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out.csv")
    run(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    (row,) = rows(tmp_path / "out.csv")
    assert [row[name] for name in ("n", "yes", "list", "day")] == ["", "true", "[1,2]", "1970-01-02"]
    (row,) = rows(tmp_path / "out.jsonl")
    assert (row["n"], row["yes"], row["list"], row["day"], row["nan"]) == (None, True, [1, 2], "1970-01-02", None)


@pytest.mark.parametrize("into", ["out.csv", "out.tsv"])
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_numbers_that_are_none_can_be_told_from_null(tmp_path, into, kind):
    values = pa.array([math.nan, math.inf, -math.inf, None, 0.5], kind)
    pa.parquet.write_table(pa.table({"text": ["the cat"] * 5, "x": values}), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / into)
    assert [row["x"] for row in rows(tmp_path / into)] == ["NaN", "inf", "-inf", "", "0.5"]


def by_task(tmp_path, task, values, into, **options):
    path = write_rows(tmp_path / "in.jsonl", values)
    run(path, tmp_path / f"out{into}", task, **options)
    return rows(tmp_path / f"out{into}")


@pytest.mark.parametrize("into", [".parquet", ".jsonl"])
def test_embeddings(tmp_path, into):
    found = by_task(tmp_path, "embedding", ROWS, into, part_rows=16)
    for row, answer in zip(found, expected("embedding", TEXTS), strict=True):
        assert row["embedding"] == pytest.approx(answer.vector.tolist(), abs=1e-5)
    if into == ".parquet":
        kind = pa.parquet.read_schema(tmp_path / "out.parquet").field("embedding").type
        assert pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()


@pytest.mark.parametrize("into", [".parquet", ".jsonl", ".csv"])
def test_entities(tmp_path, into):
    found = by_task(tmp_path, "token_classification", ROWS, into)
    for row, answer in zip(found, expected("token_classification", TEXTS), strict=True):
        entities = json.loads(row["entities"]) if into == ".csv" else row["entities"]
        assert [(each["type"], each["start"], each["end"]) for each in entities] == [
            (each.type, each.start, each.end) for each in answer.entities
        ]


def test_words_are_taken_where_a_column_holds_lists(tmp_path):
    values = [{"tokens": text.split(), "text": "something else"} for text in TEXTS]
    found = by_task(tmp_path, "token_classification", values, ".jsonl")
    answers = expected("token_classification", [text.split() for text in TEXTS])
    assert [len(row["entities"]) for row in found] == [len(answer.entities) for answer in answers]


def test_answers(tmp_path):
    values = [{"question": "where is the cat?", "context": f"the cat is near the {word} barn"} for word in ("a", "b")]
    found = by_task(tmp_path, "question_answering", values, ".parquet", top_k=2, no_answer=True)
    asked = [(row["question"], row["context"]) for row in values]
    for row, answer in zip(found, expected("question_answering", asked, top_k=2, no_answer=True), strict=True):
        best = answer.answers[0] if answer.answers else None
        assert (row["answer"], row["start"]) == ((best.text, best.start) if best else (None, None))
        assert [each["text"] for each in row["answers"]] == [each.text for each in answer.answers]
        assert row["no_answer"] == pytest.approx(answer.no_answer, abs=1e-5)


def test_several_labels_and_numbers_and_guesses(tmp_path):
    found = by_task(tmp_path, "multi_label", ROWS, ".csv", threshold=0.1)
    answers = expected("multi_label", TEXTS, threshold=0.1)
    assert [row["labels"] for row in found] == ["|".join(answer.labels) for answer in answers]
    (tmp_path / "second").mkdir()
    found = by_task(tmp_path / "second", "regression", ROWS, ".jsonl")
    answers = expected("regression", TEXTS)
    assert [row["value"] for row in found] == pytest.approx([answer.value for answer in answers], abs=1e-4)
    (tmp_path / "third").mkdir()
    gapped = [{"text": "the [MASK] cat"}, {"text": "no gap"}]
    (row,) = by_task(tmp_path / "third", "masked_lm", gapped, ".parquet", top_k=2)
    (answer,) = expected("masked_lm", ["the [MASK] cat"], top_k=2)
    assert [[guess["token"] for guess in gap] for gap in row["guesses"]] == [
        [guess.token for guess in gap] for gap in answer.gaps
    ]
    assert "has no gap" in failed(tmp_path / "third" / "out.parquet")[0]["reason"]


def test_pairs_and_more_scores(tmp_path):
    values = [{"premise": text, "hypothesis": "the cat"} for text in TEXTS]
    found = by_task(tmp_path, "classification", values, ".jsonl", top_k=2)
    answers = expected("classification", [(text, "the cat") for text in TEXTS])
    assert [row["label"] for row in found] == [answer.label for answer in answers]
    assert [row["scores"][0]["label"] for row in found] == [answer.label for answer in answers]
    assert {len(row["scores"]) for row in found} == {2}


def test_several_inputs_follow_one_another_whatever_the_order_of_their_columns(tmp_path):
    write_rows(tmp_path / "a1.csv", ROWS[:13])
    (tmp_path / "a2.csv").write_text("text,id\n" + "".join(f"{row['text']},{row['id']}\n" for row in ROWS[13:]))
    run(str(tmp_path / "a*.csv"), tmp_path / "out.jsonl", part_rows=5)
    assert [int(row["id"]) for row in rows(tmp_path / "out.jsonl")] == list(range(40))


def test_a_prefix_keeps_columns_apart(tmp_path):
    path = write_rows(tmp_path / "in.csv", [{"text": "the cat", "label": "mine"}])
    with pytest.raises(PocketBertError, match=r"in\.csv: has a column 'label' already.*--prefix"):
        run(path, tmp_path / "out.csv")
    run(path, tmp_path / "out.csv", prefix="their_")
    (row,) = rows(tmp_path / "out.csv")
    assert row["label"] == "mine" and row["their_label"]


def test_columns_without_names_have_numbers(tmp_path):
    (tmp_path / "in.tsv").write_text("1\tthe cat\n2\tthe dog\n")
    run(tmp_path / "in.tsv", tmp_path / "out.jsonl", text="1")
    assert [(row["0"], row["1"]) for row in rows(tmp_path / "out.jsonl")] == [("1", "the cat"), ("2", "the dog")]


def test_the_engine_of_choice_runs(tmp_path):
    path = write_rows(tmp_path / "in.csv", ROWS)
    predict(exported("classification"), path, tmp_path / "out.csv", runtime="onnxruntime", precision="fp32")
    manifest = json.loads((tmp_path / "out.csv.manifest.json").read_text())
    assert manifest["engine"] == "onnx/model.onnx" and manifest["rows"] == 40
    file = exported("classification") / "onnx" / "model.onnx"
    predict(file, path, tmp_path / "file.csv")
    assert (tmp_path / "file.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_threads_change_no_byte(tmp_path, runtime):
    if runtime == "openvino":
        # An extra of its own: the tests have to pass in an install without it.
        pytest.importorskip("openvino", reason="the extra `openvino` is not installed")
    path = write_rows(tmp_path / "in.csv", ROWS)
    for threads in (1, 2, 3):
        run(path, tmp_path / f"{threads}.csv", threads=threads, part_rows=40, runtime=runtime)
    assert len({(tmp_path / f"{threads}.csv").read_bytes() for threads in (1, 2, 3)}) == 1


@pytest.mark.parametrize(
    ("name", "text", "options", "reason"),
    [
        ("in.csv", "text\n", {}, "no row to read"),
        ("in.csv", "", {}, "the file is empty"),
        ("in.txt", "the cat", {}, "cannot tell its format"),
        (
            "in.csv",
            "text\nthe cat\n",
            {"pair": "second"},
            "there is no column 'second'; set --pair to one of the columns 'text'",
        ),
        ("in.csv", "text\nthe cat\n", {"question": "text"}, "--question: classification does not read it"),
        ("in.csv", "text\nthe cat\n", {"threshold": 0.5}, "there is no option 'threshold'"),
        ("in.csv", "text\nthe cat\n", {"part_rows": 0}, "part_rows"),
        ("in.csv", "n\n1\n", {}, r"in\.csv: cannot tell which column is the text; set --text to one"),
        ("in.csv", "n,m\n1\n2\n", {}, r"in\.csv: cannot tell which column is the text; set --text to one"),
        (
            "in.jsonl",
            '[{"text": "a"}]',
            {"text": "text"},
            r"in\.jsonl: no line holds.* row 1: a JSON object is expected",
        ),
        (
            "in.jsonl",
            '\n[\n  {\n  "text": "a"\n }\n]',
            {},
            r"in\.jsonl: no line holds.* row 1: not valid JSON at column",
        ),
        ("in.jsonl", "{}\n{}\n", {}, r"in\.jsonl: no line holds columns.*objects are empty"),
        ("in.jsonl", '{"text": "a", "x": 1}\n{"text": "b", "x": "1"}\n', {}, "values of column 'x' share no type"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(tmp_path, name, text, options, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(PocketBertError, match=reason):
        run(tmp_path / name, tmp_path / "out.parquet", **options)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["", ".", "./", "/", "..", "here/..", "file:///"])
def test_an_output_without_a_name_is_refused_and_leaves_nothing(tmp_path, monkeypatch, name):
    path = write_rows(tmp_path / "in.csv", ROWS)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(PocketBertError, match="is no name for an output; name a file or a new folder"):
        run(path, name)
    assert {each.name for each in tmp_path.rglob("*")} == {"in.csv", "here"}


def test_inputs_that_do_not_go_together_are_refused(tmp_path):
    a = write_rows(tmp_path / "a.csv", ROWS)
    b = write_rows(tmp_path / "b.csv", [{"text": "the cat", "other": 1}])
    c = write_rows(tmp_path / "c.jsonl", ROWS)
    with pytest.raises(DataError, match=r"b\.csv: has the columns 'text', 'other'.*a\.csv has 'id', 'text'"):
        run([a, b], tmp_path / "out.csv")
    with pytest.raises(DataError, match=r"a\.csv is csv.*c\.jsonl is jsonl"):
        run([a, c], tmp_path / "out.csv")
    for name in ("out.xml", "out.parquet.gz"):
        with pytest.raises(PocketBertError, match=rf"{name}: "):
            run(a, tmp_path / name)
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1)):
        pa.parquet.write_table(pa.table({"text": ["a"], "raw": pa.array([b"a"], kind)}), tmp_path / "d.parquet")
        with pytest.raises(PocketBertError, match=r"'raw' holds bytes.*write \.parquet"):
            run(tmp_path / "d.parquet", tmp_path / "out.csv")


def test_labels_of_ones_own(tmp_path):
    fields = {"num_labels": 3, "id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}
    model = make_model(tmp_path / "model", "classification", **fields)
    pocket, path = tmp_path / "pocket", write_rows(tmp_path / "in.csv", ROWS)
    export(ExportStage(formats=["onnx"], limits=Limits(label_flips=0.1)), str(model), pocket, console=QUIET)
    with pytest.raises(PocketBertError, match="labels: name some to choose among"):
        predict(pocket, path, tmp_path / "out.csv", task="zero_shot")
    predict(pocket, path, tmp_path / "out.jsonl", task="zero_shot", labels=["cat", "dog", "barn"], top_k=2)
    zero_shot = load(pocket, "zero_shot", labels=["cat", "dog", "barn"])
    for row, text in zip(rows(tmp_path / "out.jsonl"), TEXTS, strict=True):
        assert row["score"] == pytest.approx(zero_shot(text).score, abs=1e-5)
        assert [each["label"] for each in row["scores"]] == [each.label for each in zero_shot(text).scores[:2]]


def test_the_pipeline_is_the_reference_for_blocks_too(tmp_path):
    run(write_rows(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl", part_rows=40)
    pipeline = load(exported("classification"), engine="onnxruntime", precision="fp32", threads=2, streams=2)
    assert [row["score"] for row in rows(tmp_path / "out.jsonl")] == [answer.score for answer in pipeline(TEXTS)]


def test_a_glob_does_not_take_in_what_it_made(tmp_path):
    write_rows(tmp_path / "in.jsonl", [*ROWS, {"text": ""}])
    first = run(str(tmp_path / "*.jsonl"), tmp_path / "out.jsonl")
    again = run(str(tmp_path / "*.jsonl"), tmp_path / "out.jsonl")
    assert (first.rows, first.failed, again.rows, again.computed) == (40, 1, 40, 0)
    with pytest.raises(PocketBertError, match="is the input and the output"):
        run(tmp_path / "in.jsonl", tmp_path / "in.jsonl")
