"""Flags made from sections: every option once, whatever its type."""

import re

import pytest
import typer
from typer.testing import CliRunner

from pocketbert.cli.command import app
from pocketbert.errors import PocketBertError
from pocketbert.flags import Group, with_flags
from pocketbert.recipe import Data, DistillStage, Student

RUNNER = CliRunner()


def program(*groups):
    """A command line of one command, and the sections it was given last."""
    made, given = typer.Typer(), {}

    @made.command()
    @with_flags(*groups)
    def command(model: str, sections: dict) -> None:
        """Do it."""
        given.update(sections)

    def call(*arguments):
        given.clear()
        result = RUNNER.invoke(made, ["model", *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result, dict(given)

    return call


DISTILL = program(
    Group(DistillStage, "options"),
    Group(Student, "student"),
    Group(Data, "data", optional="task", rename={"test": "data"}),
)


def test_every_flag_of_every_command_says_what_it_is_for():
    commands = typer.main.get_command(app).commands.items()
    flags = [(f"{verb} {flag.opts[0]}", flag.help) for verb, command in commands for flag in command.params
             if flag.opts[0].startswith("--")]  # fmt: skip
    assert len(flags) > 200
    assert not [flag for flag, text in flags if not (text or "").partition("[default")[0].strip(" \\")]


def test_nothing_given_is_the_defaults():
    _, sections = DISTILL()
    assert sections == {"options": DistillStage(), "student": Student(), "data": None}


def test_values_of_every_type():
    _, sections = DISTILL(
        *("--budget", "20m", "--batch-size", 8, "--losses-soft-targets", "5", "--losses-cosine", 0.5),
        *("--masking-whole-words", "yes", "--soft-targets", "all", "--corpus", "a.txt", "--corpus", "b.txt"),
        *("--init", "[0, 2]", "--layers", 2, "--architecture", "123", "--without-teacher", "no", "--temperature", "3"),
    )
    assert sections["options"] == DistillStage(
        budget="20m",
        batch_size=8,
        losses={"soft_targets": 5, "cosine": 0.5},
        masking={"whole_words": True},
        soft_targets="all",
        corpus=["a.txt", "b.txt"],
        without_teacher=False,
        temperature=3,
    )
    assert sections["student"] == Student(init=[0, 2], layers=2, architecture="123")


def test_a_layer_map_is_a_word_or_pairs():
    _, sections = DISTILL("--method", "pkd", "--layer-map", "[[0, 2], [1, 5]]")
    assert sections["options"] == DistillStage(method="pkd", layer_map=[(0, 2), (1, 5)])
    _, sections = DISTILL("--method", "pkd", "--layer-map", "last")
    assert sections["options"].layer_map == "last"


def test_a_field_that_the_command_does_not_read_has_no_flag():
    distill = program(Group(DistillStage, "options", without=("without_teacher",)))
    result, _ = distill("--help")
    assert "--temperature" in result.output and "--without-teacher" not in result.output
    result, sections = distill("--without-teacher", "no")
    assert result.exit_code == 2 and not sections


def test_words_that_yaml_would_change_stay_words():
    _, sections = DISTILL(
        *("--task", "classification", "--text", "1", "--label", "no", "--labels", "yes", "--labels", "007"),
        *("--train", "2020", "--train", "[ab]*.csv", "--label-separator", ","),
    )
    data = sections["data"]
    assert (data.text, data.label, data.labels, data.train) == ("1", "no", ["yes", "007"], ["2020", "[ab]*.csv"])
    assert data.label_separator == ","


def test_a_renamed_flag_fills_its_field():
    _, sections = DISTILL("--task", "classification", "--data", "test.csv")
    assert sections["data"].test == ["test.csv"]


def test_a_section_without_its_required_flag_is_refused():
    with pytest.raises(PocketBertError, match="--task is missing: it tells what the rows are for"):
        DISTILL("--train", "train.csv")


def test_a_required_flag_is_named_with_what_it_is():
    with pytest.raises(PocketBertError, match="--task is missing: what is predicted"):
        program(Group(Data, "data"))()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch-size", "many"), "batch_size: Input should be a valid integer"),
        (("--batch-size", "0"), "batch_size: Input should be greater than 0"),
        (("--steps", "3", "--epochs", "2"), "name one of epochs, steps and budget"),
        (("--losses-cosine", "-1"), "losses.cosine: Input should be greater"),
        (("--init", "[0"), r"--init: '\[0' is not a YAML value"),
        (("--masking-rate", "{"), "--masking-rate: '{' is not a YAML value"),
        (
            ("--layer-map", "best"),
            r"layer_map: 'best' is none of uniform, last, top, nor pairs .* \[\[0, 2\], \[1, 5\]\]$",
        ),
        (("--layer-map", "[0, 1]"), r"1 wrong field\(s\)\n  layer_map: \[0, 1\] is none of uniform"),
        (("--layer-map", "[[0, -1]]"), r"layer_map: \[\[0, -1\]\] is none of"),
        (("--layer-map", "[[0, true]]"), r"layer_map: \[\[0, True\]\] is none of"),
        (("--layer-map", "[]"), r"layer_map: \[\] is none of"),
        (("--method", "best"), "method: Input should be 'distilbert', 'tinybert'"),
        (("--task", "translation"), "task: Input should be 'masked_lm'"),
    ],
)
def test_wrong_values_are_named(arguments, message):
    with pytest.raises(PocketBertError, match=message):
        DISTILL(*arguments)


def test_help_has_every_field_with_its_default():
    result, _ = DISTILL("--help")
    words = re.sub(r"[│╭╮╰╯─\s]+", " ", result.output)
    for flag in ("--batch-size", "--losses-soft-targets", "--masking-rate", "--hidden-size", "--label-separator"):
        assert flag in words
    assert "[default: 32]" in words and "half of the teacher's when absent" in words
    assert "[distilbert, tinybert, minilm, minilmv2, pkd, xtremedistil, mobilebert, contrastive]" in words
    assert "[uniform, first, last, distilbert, none or a list] [default: uniform]" in words


def test_every_field_has_a_flag_of_its_own():
    result, _ = DISTILL("--help")
    for section in (DistillStage, Student, Data):
        for name in section.model_fields:
            if name not in ("data", "masking", "losses", "test"):
                assert f"--{name.replace('_', '-')}" in result.output, name
