"""The layouts of GLUE's nine tasks."""

from collections import Counter
from typing import get_args

import pytest

from pocketbert.data.glue import LAYOUTS, normalise, read_glue
from pocketbert.data.lines import RowPolicy
from pocketbert.data.records import Record
from pocketbert.data.sources import read_records
from pocketbert.errors import DataError
from pocketbert.recipe import Layout

# Each task as published: file content, and the rows it stands for.
FILES = {
    "cola": ('gj04\t1\t\tFirst.\ngj04\t0\t*\tSecond "open.\n', [("First.", None, "1"), ('Second "open.', None, "0")]),
    "sst2": ("sentence\tlabel\nfine \t1\n", [("fine ", None, "1")]),
    "mrpc": (
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tHe said " yes .\t" No .\n',
        [('He said " yes .', '" No .', "1")],
    ),
    "qqp": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n3\t1\t2\tWhy?\tHow?\t0\n",
        [("Why?", "How?", "0")],
    ),
    "stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\ty\t1\tnone\tnone\tA plane.\tAn air plane.\t5.000\n",
        [("A plane.", "An air plane.", "5.000")],
    ),
    "mnli": (
        "index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label\n0\t3\tIt is.\tIt is not.\tneutral\tcontradiction\n",
        [("It is.", "It is not.", "contradiction")],
    ),
    "qnli": (
        "index\tquestion\tsentence\tlabel\n0\tWhat?\tThat.\tentailment\n",
        [("What?", "That.", "entailment")],
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel\n0\tOne.\tTwo.\tnot_entailment\n",
        [("One.", "Two.", "not_entailment")],
    ),
    "wnli": ("index\tsentence1\tsentence2\tlabel\n0\tOne.\tTwo.\t0\n", [("One.", "Two.", "0")]),
}


def write(tmp_path, content, name="a.tsv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(records):
    return [(r.values["text"], r.values.get("pair"), r.values["label"]) for r in records]


def test_every_layout_of_recipes_is_known():
    assert set(LAYOUTS) == set(FILES) == set(get_args(Layout)) - {"conll", "squad"}


def test_tasks_labels_and_metrics_are_those_of_the_benchmark():
    assert [LAYOUTS[name].metrics for name in ("cola", "mrpc", "qqp", "stsb", "rte")] == [
        ("matthews",),
        ("accuracy", "f1"),
        ("accuracy", "f1"),
        ("pearson", "spearman"),
        ("accuracy",),
    ]
    assert LAYOUTS["mnli"].labels == ("entailment", "neutral", "contradiction")
    assert LAYOUTS["sst2"].labels == ("0", "1")
    assert (LAYOUTS["stsb"].task, LAYOUTS["stsb"].labels) == ("regression", None)


@pytest.mark.parametrize("name", FILES)
def test_published_files(tmp_path, name):
    content, expected = FILES[name]
    assert rows(read_glue(write(tmp_path, content), name, RowPolicy())) == expected


@pytest.mark.parametrize("name", sorted(set(FILES) - {"cola"}))
def test_test_files_have_no_labels(tmp_path, name):
    content, expected = FILES[name]
    table = [line.split("\t") for line in content.removeprefix("\ufeff").splitlines()]
    labels = {"label", "label1", "gold_label", "Quality", "is_duplicate", "score"}
    kept = [number for number, column in enumerate(table[0]) if column not in labels]
    hidden = "".join("\t".join(row[number] for number in kept) + "\n" for row in table)
    found = rows(read_glue(write(tmp_path, hidden), name, RowPolicy()))
    assert found == [(text, pair, None) for text, pair, _ in expected]


def test_the_test_file_of_cola_has_a_header_unlike_its_others(tmp_path):
    path = write(tmp_path, "index\tsentence\n0\tFirst.\n")
    records = list(read_glue(path, "cola", RowPolicy()))
    assert rows(records) == [("First.", None, None)]
    assert records[0].where == f"{path} row 1"


def test_stsb_without_header_allows_more_columns_but_not_fewer(tmp_path):
    row = "main-news\theadlines\t2013\t5\t3.4\tOne.\tTwo."
    path = write(tmp_path, f"{row}\n{row}\tsource\tlink\n{row.rpartition(chr(9))[0]}\n{row}\n", "sts-train.csv")
    with pytest.raises(DataError, match=r"sts-train\.csv row 3: 6 field\(s\) where 7 are expected"):
        list(read_glue(path, "stsb", RowPolicy()))
    policy = RowPolicy("skip")
    records = list(read_glue(path, "stsb", policy))
    assert rows(records) == [("One.", "Two.", "3.4")] * 3
    assert [r.where[-1] for r in records] == ["1", "2", "4"]
    assert policy.skipped.count == 1


def test_rows_without_an_agreed_label_are_left_out_and_counted(tmp_path):
    content = "sentence1\tsentence2\tgold_label\na\tb\t-\nc\td\tneutral\n"
    policy = RowPolicy()
    assert rows(read_glue(write(tmp_path, content), "mnli", policy)) == [("c", "d", "neutral")]
    assert policy.skipped.count == 1
    assert "row 1" in policy.skipped.reasons[0]


def test_incomplete_rows_are_expected_of_qqp_only(tmp_path):
    qqp = FILES["qqp"][0] + "4\t1\t2\tcut off\n"
    policy = RowPolicy()
    assert len(list(read_glue(write(tmp_path, qqp), "qqp", policy))) == 1
    assert policy.skipped.count == 1
    with pytest.raises(DataError, match=r"row 2: 7 field\(s\) where the header has 6"):
        list(read_glue(write(tmp_path, FILES["qqp"][0] + "\t" * 6 + "\n"), "qqp", RowPolicy()))
    with pytest.raises(DataError, match=r"row 2: 1 field\(s\) where the header has 2"):
        list(read_glue(write(tmp_path, FILES["sst2"][0] + "no label\n"), "sst2", RowPolicy()))


def test_broken_rows_keep_their_numbers_with_and_without_header(tmp_path):
    headed = write(tmp_path, b"sentence\tlabel\nok\t1\nb\xffd\t1\n", "a.tsv")
    with pytest.raises(DataError, match=r"a\.tsv row 2: byte 21 "):
        list(read_glue(headed, "sst2", RowPolicy()))
    bare = write(tmp_path, b"x\t1\t\tok\nx\t1\t\tb\xffd\nx\t0\t\tok\n", "b.tsv")
    with pytest.raises(DataError, match=r"b\.tsv row 2: byte 14 "):
        list(read_glue(bare, "cola", RowPolicy()))
    policy = RowPolicy("skip")
    assert [r.where[-1] for r in read_glue(bare, "cola", policy)] == ["1", "3"]


def test_another_file_is_told_apart(tmp_path):
    path = write(tmp_path, "review\tstars\nfine\t5\n")
    with pytest.raises(DataError, match=r"layout sst2 needs a column 'sentence', found 'review', 'stars'; .*leave out"):
        list(read_glue(path, "sst2", RowPolicy()))


def test_a_single_row_without_a_column_is_a_bad_row():
    lines = [Record({"sentence": "a", "label": "1"}, "r1"), Record({"label": "1"}, "r2")]
    with pytest.raises(DataError, match=r"r2: no column 'sentence'; mend the row"):
        list(normalise(iter(lines), "sst2", RowPolicy()))
    policy = RowPolicy("skip")
    assert len(list(normalise(iter(lines), "sst2", policy))) == policy.skipped.count == 1


def test_hub_rows_have_their_numbers_turned_into_names():
    hub = [
        Record({"premise": "a", "hypothesis": "b", "label": 2, "idx": 0}, "r1"),
        Record({"premise": "c", "hypothesis": "d", "label": -1, "idx": 1}, "r2"),
        Record({"premise": "e", "hypothesis": "f", "label": 7, "idx": 2}, "r3"),
    ]
    assert rows(normalise(iter(hub), "mnli", RowPolicy())) == [
        ("a", "b", "contradiction"),
        ("c", "d", None),
        ("e", "f", "7"),
    ]
    scores = [Record({"sentence1": "a", "sentence2": "b", "label": 3}, "r1")]
    assert rows(normalise(iter(scores), "stsb", RowPolicy())) == [("a", "b", 3)]


@pytest.mark.parametrize(
    ("layout", "counts"),
    [
        ("sst2", {"SST-2/train.tsv": 67_349, "SST-2/dev.tsv": 872}),
        ("cola", {"CoLA/train.tsv": 8_551, "CoLA/dev.tsv": 1_043}),
        ("mrpc", {"MRPC/train.tsv": 3_668, "MRPC/dev.tsv": 408}),
        ("stsb", {"STS-B/sts-train.tsv": 5_749, "STS-B/sts-dev.tsv": 1_500, "STS-B/sts-test.tsv": 1_379}),
        ("mnli", {"MNLI/train_sample_16k.jsonl": 15_891, "MNLI/dev_matched.jsonl": 9_815}),
        ("qnli", {"QNLI/dev.tsv": 5_463}),
        ("rte", {"RTE/train.tsv": 2_490, "RTE/dev.tsv": 277}),
        ("wnli", {"WNLI/train.tsv": 635, "WNLI/dev.tsv": 71}),
    ],
)
def test_real_files(shared_data, layout, counts):
    for name, count in counts.items():
        records = list(read_records([str(shared_data / "glue" / name)], layout=layout))
        assert len(records) == count
        assert all(record.values["text"] for record in records)
        labels = Counter(record.values["label"] for record in records)
        if layout == "stsb":
            assert all(0 <= float(label) <= 5 for label in labels)
        else:
            assert set(labels) == set(LAYOUTS[layout].labels)
