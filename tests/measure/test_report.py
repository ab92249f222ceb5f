import re
from html.parser import HTMLParser

import pytest

from pocketbert.measure.comparison import Report
from pocketbert.measure.report import render_html, write_html

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps what there is to look at."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).replace("\u00a0", " ").split())

    def count(self, tag: str, kind: str) -> int:
        return sum(name == tag and kind in attrs.get("class", "").split() for name, attrs in self.tags)


def test_the_page_says_what_the_run_proved(report):
    words = Page(render_html(report)).words
    for phrase in (
        "98.1 % of the teacher's score 95 % interval [94.9, 102.5]",
        "above the majority class 97.4 % [92.8, 103.4]",
        "38.8 % fewer bytes than the teacher",
        "1.93 × the teacher's throughput in batches of 32",
        "✗ fail gate smaller: at least 60.0 % asked, 38.8 % measured: missed by 21.16 points",
        "accuracy 0.9275 0.9100 0.8600 0.2450",
        "This is a demonstration",
        "finetune teacher training loss",
        "trained for 6 min 12 s",
        "temperature: 2.0",
        "b1946ac92492d234",
        "torch 2.13.0",
    ):
        assert phrase in words


def test_hidden_tokens_of_blocks_are_called_so(report):
    task = report.tasks[0].model_copy(update={"task": "masked_lm"})
    words = Page(render_html(report.model_copy(update={"tasks": [task]}))).words
    for phrase in ("masked_lm, 400 blocks,", "of the hidden tokens of 400 blocks", "right on 32 hidden tokens, only"):
        assert phrase in words


def test_the_page_asks_nothing_of_the_network(report):
    html = render_html(report)
    page = Page(html)
    assert not re.search(r"https?://|url\(|@import|//[a-z]", html)
    assert not any(tag in ("script", "img", "iframe") for tag, _ in page.tags)
    assert [attrs["href"] for tag, attrs in page.tags if tag == "link"] == ["data:,"]
    assert not any("src" in attrs for _, attrs in page.tags)


def test_whatever_a_label_holds_is_text(report, compare_labels):
    tricky = '<script>alert("1")</script>'
    task = compare_labels([tricky, "b"], name=tricky)
    curves = [curve.model_copy(update={"stage": tricky}) for curve in report.curves]
    page = Page(render_html(report.model_copy(update={"tasks": [task], "curves": curves, "name": tricky})))
    assert not any(tag == "script" for tag, _ in page.tags)
    assert page.words.count(tricky) >= 6  # title, heading, task, rows and columns of both matrices, stages


def test_drawings_have_words_for_those_who_do_not_see_them(report):
    page = Page(render_html(report))
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert drawings
    assert all(attrs.get("aria-hidden") == "true" or attrs.get("aria-label") for attrs in drawings)
    labels = [attrs["aria-label"] for _, attrs in page.tags if attrs.get("role") == "img"]
    assert any("student 0.9100 [88.2, 93.8]" in label for label in labels)
    assert any(label.startswith("training loss: from ") for label in labels)


def test_a_curve_is_drawn_for_each_measure(report):
    page = Page(render_html(report))
    assert page.count("polyline", "curve") == 4


@pytest.mark.parametrize(("classes", "tables", "lists"), [(12, 2, 0), (13, 0, 2), (31, 0, 0)])
def test_confusion_is_a_table_then_a_list_then_nothing(report, compare_labels, classes, tables, lists):
    task = compare_labels([f"label {n}" for n in range(classes)], resamples=20)
    page = Page(render_html(report.model_copy(update={"tasks": [task]})))
    assert page.count("table", "heat") == tables
    assert page.count("table", "pairs") == lists


def test_unmeasured_is_unsaid():
    page = Page(render_html(Report(name="bare")))
    for word in ("faster", "smaller", "kept of", "Gates", "Training", "None", "demonstration"):
        assert word not in page.words.replace("bare: what the student kept", "")


def test_repeats_of_a_task_are_numbered(report):
    words = Page(render_html(report.model_copy(update={"tasks": report.tasks * 2}))).words
    assert "News (2)" in words
    assert "mean of 2 runs" in words


def test_the_page_is_written_whole(report, tmp_path):
    write_html(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>")
    assert len(list(tmp_path.iterdir())) == 1
