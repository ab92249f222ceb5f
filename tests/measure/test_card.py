import io
from pathlib import Path

import pytest
from rich.console import Console

from pocketbert.measure.card import render_card
from pocketbert.measure.comparison import Report
from pocketbert.measure.results import Ratio


def render(report: Report, width: int = 100, folder: Path | None = None) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render_card(report, console, folder)
    return console.file.getvalue()


def test_the_card_says_what_the_run_proved(report):
    text = render(report, folder=Path("runs/news-pocket"))
    for phrase in (
        "news-pocket",
        "98.1 %  of the teacher's score, 95 % interval [94.9, 102.5]",
        "above the majority class 97.4 % [92.8, 103.4]",
        "same answer as the teacher on 85.8 % of 400 examples",
        "38.8 %  fewer bytes than the teacher, weights 438.0 MB → 267.8 MB",
        "parameters 109.5 M → 67.0 M",
        "1.93 ×  the teacher's throughput in batches of 32",
        "accuracy *                  0.9275         0.9100                    0.8600           0.2450",
        "learning from the teacher, not from the labels alone, adds +5.0 points [1.0, 9.5]",
        "only the teacher is right on 32 examples, only the student on 25 (McNemar's test, p = 0.427)",
        "PASS  gate kept: at least 97.0 % asked, 98.1 % measured: holds by 1.11 points",
        "FAIL  gate smaller: at least 60.0 % asked, 38.8 % measured: missed by 21.16 points",
        "PASS  gate faster: at least 1.50 × asked, 1.93 × measured: holds by 0.43 ×",
        "This is a demonstration: a tiny teacher",
        "pocketbert run recipes/task.yaml teacher.model=DIRECTORY data.train=train.csv",
        "runs/news-pocket/report.html",
    ):
        assert phrase in text


def test_promises_come_before_the_table_and_gates_after(report):
    text = render(report)
    places = [text.index(word) for word in ("kept  ", "smaller  ", "faster  ", "macro_f1", "PASS", "This is a dem")]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [100, 160])
def test_the_card_is_at_most_a_hundred_columns(report, width):
    assert max(len(line) for line in render(report, width).splitlines()) == 100


def test_a_narrow_terminal_gets_a_narrow_card(report):
    assert max(len(line) for line in render(report, 72).splitlines()) <= 72


def test_unmeasured_is_unsaid(report):
    bare = report.model_copy(update={"sizes": {}, "speed": None, "gates": [], "demonstration": None})
    text = render(bare)
    for word in ("smaller", "faster", "gate", "demonstration", "report.html", "None", "nan"):
        assert word not in text


def test_without_a_student_the_card_says_what_each_stage_made(report):
    manifests = {
        "01-pretrain": {"metrics": {"steps": 11723, "seconds": 1681.7, "best_score": -4.3, "validation_loss": 4.3}},
        "02-finetune": {"metrics": {"steps": 747, "seconds": 363.3, "best_score": 0.9759}},
    }
    provenance = report.provenance.model_copy(update={"manifests": manifests})
    text = render(Report(name="base", provenance=provenance))
    assert "01-pretrain  11,723 steps in 28 min 2 s, validation loss 4.3000" in text
    assert "02-finetune  747 steps in 6 min 3 s, validation score 0.9759" in text


def test_a_report_of_nothing_still_prints():
    assert "nothing-yet" in render(Report(name="nothing-yet"))


def test_a_ratio_without_meaning_says_why(report):
    reason = "the teacher is not better than the majority class"
    task = report.tasks[0].model_copy(update={"kept_above_majority": Ratio(reason=reason)})
    text = render(report.model_copy(update={"tasks": [task]}))
    assert f"above the majority class no value: {reason}" in " ".join(text.replace("│", " ").split())


def test_names_are_text_and_not_markup(report):
    task = report.tasks[0].model_copy(update={"name": "[red]tricky[/red]"})
    text = render(report.model_copy(update={"tasks": [task], "name": "[bold]run"}))
    assert "[red]tricky[/red]" in text
    assert "[bold]run" in text


def test_hidden_tokens_of_blocks_are_called_so(report):
    text = render(report.model_copy(update={"tasks": [report.tasks[0].model_copy(update={"task": "masked_lm"})]}))
    for phrase in ("masked_lm, 400 blocks;", "of the hidden tokens of 400 blocks", "right on 32 hidden tokens, only"):
        assert phrase in text


def test_several_tasks_say_what_each_kept(report):
    other = report.tasks[0].model_copy(update={"name": "Second"})
    text = render(report.model_copy(update={"tasks": [report.tasks[0], other]}))
    assert "of the teacher's score, mean of 2 tasks" in text
    assert text.count("kept 98.1 % [94.9, 102.5]; above the majority class") == 2
