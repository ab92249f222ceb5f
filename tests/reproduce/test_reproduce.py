"""The reproduction, on a few sentences: from text to the table, gone on with, and never done twice."""

import gc
import json
import random
import shutil
import sys
from dataclasses import replace
from importlib import import_module as module
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

import tiny
from pocketbert import pipeline
from pocketbert.errors import PocketBertError
from pocketbert.manifest import read_manifest, write_manifest
from pocketbert.recipe import Data

ROOT = Path(__file__).resolve().parents[2]
PUBLIC_DATA = ROOT.parent / "shared" / "data"
STUDENTS = ("minilmv2", "layers")


def write_sentences(path):
    """Text of whole sentences, which pairs are made of."""
    random_ = random.Random(0)
    sentences = [" ".join(tiny.sentence(random_, tiny.GOOD, 20)).capitalize() + "." for _ in range(400)]
    path.write_text("\n\n".join(" ".join(sentences[start : start + 8]) for start in range(0, 400, 8)), encoding="utf-8")


def test_a_run_keeps_the_size_that_it_was_begun_with(tmp_path):
    run = module("run")
    assert run.settle_size(tmp_path / "none", None) == module("sizes").default_size()
    (tmp_path / "size").write_text("base")
    assert run.settle_size(tmp_path, "base") == run.settle_size(tmp_path, None) == "base"
    with pytest.raises(PocketBertError, match="was begun with --size base; leave --size out"):
        run.settle_size(tmp_path, "small")


def test_a_table_of_nothing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "table", "--out", str(tmp_path / "none")])
    with pytest.raises(PocketBertError, match="no task was learnt by every student yet"):
        module("run").main()
    assert not (tmp_path / "none").exists()


def test_two_processes_do_not_learn_in_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "teacher", "--out", str(tmp_path)])
    with FileLock(tmp_path / "lock"), pytest.raises(PocketBertError, match="another process is working there"):
        module("run").main()


def rows_of(folder, pairs):
    files = [str(tiny.write_reviews(folder / f"{role}-{pairs}.csv", 40, seed, pairs).name)
             for seed, role in enumerate(("train", "test"))]  # fmt: skip
    return Data(task="classification", train=[files[0]], test=[files[1]], max_length=32)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A whole run: a teacher of two layers, students of one, a task of texts and one of pairs."""
    folder = tmp_path_factory.mktemp("reproduce")
    write_sentences(folder / "text.txt")
    setting = module("results").Setting
    tasks = {"texts": setting(rows_of(folder, False), 1, 1), "CoLA": setting(rows_of(folder, True), 1, 1, pairs=True)}
    size = replace(
        module("sizes").SHORT,
        vocabulary={"vocabulary": 101},
        corpus=("text.txt",),
        pairs="text.txt",
        block=16,
        limit=40,
    )
    plan = module("plan").Plan(folder / "out", folder, size, tasks, STUDENTS, seeds=1, budget=None)
    # Every training ends with a collection of garbage, which is most of its time with all that tests have imported.
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module("plan"), "SMALL_SEEDS", 1)
        for step in module("run").STEPS.values():
            step(plan)
        yield plan
    gc.unfreeze()


def models(folder):
    return {str(path.parent.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_there_is_a_teacher_and_each_student_with_and_without_a_lesson_on_pairs(plan):
    general = {"start", "teacher", *STUDENTS, *(f"pairs/{name}" for name in ("teacher", *STUDENTS))}
    assert {name for name in models(plan.out) if not name.startswith("tasks/")} == general
    stages = {name: json.loads((plan.out / name / "manifest.json").read_bytes()) for name in general}
    assert stages["minilmv2"]["options"]["method"] == "minilmv2" and stages["layers"]["metrics"] == {}
    assert stages["pairs/minilmv2"]["parents"][1]["source"].endswith("out/minilmv2")


def test_each_seed_of_each_task_is_learnt_by_each_student(plan):
    lessons = dict(module("lessons").found(plan))
    units = {(unit.task, unit.seed, unit.student) for unit in lessons}
    assert units == {(task, 0, name) for task in ("texts", "CoLA") for name in STUDENTS}
    assert not module("lessons").missing(plan)


def test_small_tasks_have_five_seeds_and_every_task_comes_before_the_next_seed(plan, monkeypatch):
    monkeypatch.setattr(module("plan"), "SMALL_SEEDS", module("settings").SMALL_SEEDS)
    places = [(unit.seed, unit.task) for unit in replace(plan, students=("layers",)).units()]
    assert places == [(0, "texts"), (0, "CoLA"), (1, "CoLA"), (2, "CoLA"), (3, "CoLA"), (4, "CoLA")]


def test_a_lesson_holds_both_ways_against_the_teacher(plan):
    lesson = next(lesson for _, lesson in module("lessons").found(plan))
    assert lesson.distilled.models["teacher"] == lesson.alone.models["teacher"]
    assert lesson.distilled.models["without_teacher"] == lesson.alone.models["student"]
    scores = {role: each.score for role, each in lesson.distilled.models.items()}
    assert lesson.distilled.kept.value == pytest.approx(scores["student"] / scores["teacher"])
    assert lesson.sizes["student"].parameters < lesson.sizes["teacher"].parameters


def test_the_models_of_a_tasks_students_go_and_its_teachers_stay(plan):
    of_tasks = {name for name in models(plan.out) if name.startswith("tasks/")}
    assert of_tasks == {"tasks/texts/seed-0/teacher", "tasks/CoLA/seed-0/teacher"}


def test_what_is_done_is_not_done_again(plan, monkeypatch):
    before = models(plan.out)
    monkeypatch.setattr("pocketbert.distill.stage.StageFolder.begin", lambda stage: pytest.fail(f"{stage.folder}"))
    for step in module("run").STEPS.values():
        step(plan)
    assert models(plan.out) == before


def test_what_a_budget_leaves_out_is_named(plan, capsys):
    more = replace(plan, seeds=2, budget=1e-9)
    module("lessons").learn_tasks(more)
    assert "not learnt yet, 4 in all: texts, seed 1, minilmv2" in capsys.readouterr().out
    module("tables").write_tables(more)
    assert "Not learnt yet: texts (seed 1); CoLA (seed 1)." in (plan.out / "reproduce.md").read_text(encoding="utf-8")


def test_lessons_of_a_model_that_was_made_anew_do_not_stand(plan, tmp_path):
    shutil.copytree(plan.out, tmp_path / "run")
    moved = replace(plan, out=tmp_path / "run")
    folder = moved.model("layers")
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"created": "2026-01-01T00:00:00+00:00"}))
    # Tasks of pairs start from other models.
    assert {(unit.task, unit.student) for unit in module("lessons").missing(moved)} == {("texts", "layers")}
    # The same weights come of it; the lesson is given again all the same, and stands.
    module("lessons").learn_tasks(moved)
    assert not module("lessons").missing(moved)


def test_a_lesson_of_another_version_does_not_stand(plan, tmp_path):
    shutil.copytree(plan.out, tmp_path / "run")
    moved = replace(plan, out=tmp_path / "run")
    (moved.out / "tasks" / "texts" / "seed-0" / "layers.json").write_text('{"key": "earlier"}', encoding="utf-8")
    assert {(unit.task, unit.student) for unit in module("lessons").missing(moved)} == {("texts", "layers")}


def test_lessons_of_other_settings_do_not_stand(plan):
    longer = replace(plan, tasks=plan.tasks | {"texts": replace(plan.tasks["texts"], teacher_epochs=2)})
    assert {(unit.task, unit.student) for unit in module("lessons").missing(longer)} == {
        ("texts", name) for name in STUDENTS
    }


def test_a_model_of_pairs_that_was_made_from_another_one_is_not_taken(plan, tmp_path):
    shutil.copytree(plan.out, tmp_path / "run")
    moved = replace(plan, out=tmp_path / "run")
    folder = moved.model("layers", pairs=True)
    assert moved.made("layers", "general", pairs=True) == str(folder)
    manifest = read_manifest(folder)
    other = [parent.model_copy(update={"weights": "other"}) for parent in manifest.parents]
    write_manifest(folder, manifest.model_copy(update={"parents": other}))
    with pytest.raises(PocketBertError, match="made from another layers than there is now; run the step general again"):
        moved.made("layers", "general", pairs=True)


def test_a_killed_lesson_goes_on_with_what_it_had(plan, monkeypatch):
    more = replace(plan, tasks={"texts": plan.tasks["texts"]}, seeds=2, students=("layers",))
    real = pipeline.distill

    def killed(options, teacher, student, output, *args, **kwargs):
        if output.endswith("labels-alone"):
            raise KeyboardInterrupt
        return real(options, teacher, student, output, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "distill", killed)
        with pytest.raises(KeyboardInterrupt):
            module("lessons").learn_tasks(more)
    left = models(plan.out)
    module("lessons").learn_tasks(more)
    name = "tasks/texts/seed-1/teacher"
    assert models(plan.out)[name] == left[name] and "tasks/texts/seed-1/layers/distilled" in left
    assert not module("lessons").missing(more)


def test_a_step_says_which_one_comes_before_it(plan, tmp_path):
    empty = replace(plan, out=tmp_path)
    for step, needed in {"general": "teacher", "tasks": "teacher", "table": "tasks"}.items():
        with pytest.raises(PocketBertError, match=f"run the step {needed} first"):
            module("run").STEPS[step](empty)


def test_qnli_is_split_for_good(tmp_path):
    """No question and no sentence is in two parts, whatever stands between them."""
    pairs = [(number, number) for number in range(100)] + [(0, 1), (1, 2), (2, 3), (50, 51), (98, 99)]
    lines = [
        f"{number}\tWhat is {question}?\tIt is {answer}.\x85\tentailment"
        for number, (question, answer) in enumerate(pairs)
    ]
    source = tmp_path / "glue" / "QNLI" / "dev.tsv"
    source.parent.mkdir(parents=True)
    source.write_text("\n".join(["index\tquestion\tsentence\tlabel", *lines]) + "\n", encoding="utf-8")
    module("rows").split_qnli(tmp_path, tmp_path / "made")
    parts = {}
    for name in ("train", "val", "test"):
        header, *parts[name] = (
            (tmp_path / "made" / f"{name}.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
        )
        assert header.startswith("index")
    assert sorted(row for part in parts.values() for row in part) == sorted(lines)
    assert 26 <= len(parts["test"]) <= 28 and 6 <= len(parts["val"]) <= 8
    for column in (1, 2):
        told = [{row.split("\t")[column] for row in part} for part in parts.values()]
        assert len(set.union(*told)) == sum(map(len, told))


def test_clinc150_is_unpacked(tmp_path):
    (tmp_path / "clinc150").mkdir()
    splits = {name: [["say it", "repeat"]] for name in ("train", "val", "test", "oos_test")}
    (tmp_path / "clinc150" / "data_full.json").write_text(json.dumps(splits), encoding="utf-8")
    module("rows").unpack_clinc150(tmp_path, tmp_path / "made")
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"train.jsonl", "val.jsonl", "test.jsonl"}
    assert json.loads((tmp_path / "made" / "val.jsonl").read_text()) == {"text": "say it", "label": "repeat"}


def test_data_that_is_missing_is_named(tmp_path):
    for _, make in module("rows").MAKERS.values():
        with pytest.raises(PocketBertError, match="no such file; name the folder of the data by --data"):
            make(tmp_path, tmp_path)


def test_no_task_reports_a_row_that_it_chooses_on():
    for setting in module("settings").TASKS.values():
        data = setting.data
        assert data.test and not set(data.test) & {*(data.train or []), *(data.validation or [])}


def test_every_group_of_tasks_names_tasks():
    settings = module("settings")
    named = settings.GLUE | settings.SMALL | settings.PAPER.keys() | settings.PAPER_DISTILLED.keys()
    assert named <= settings.TASKS.keys() and module("rows").MAKERS.keys() <= settings.TASKS.keys()


@pytest.mark.skipif(not PUBLIC_DATA.is_dir(), reason="the public data is not beside the project")
def test_the_public_data_is_found_for_every_task():
    settings, run = module("settings"), module("run")
    assert all(run.has_data(PUBLIC_DATA, name) for name in settings.TASKS)
    sizes = module("sizes").SIZES.values()
    text = {
        name for size in sizes for name in (*size.corpus, size.pairs, *filter(None, [size.vocabulary.get("tokenizer")]))
    }
    assert all((PUBLIC_DATA / name).is_file() for name in text)


def test_without_data_there_are_the_tasks_that_were_learnt_elsewhere(tmp_path, capsys):
    (tmp_path / "out" / "tasks" / "RTE").mkdir(parents=True)
    flags = SimpleNamespace(tasks=None, out=tmp_path / "out", data=tmp_path)
    assert list(module("run")._tasks(flags)) == ["RTE"]
    assert "IMDb is left out: its files are not all in" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("1.5h", 5400.0)])
def test_a_budget_is_a_duration(text, seconds):
    assert module("run").duration(text) == seconds


@pytest.mark.parametrize("text", ["0", "soon"])
def test_a_budget_of_no_time_is_refused(text):
    with pytest.raises(ValueError):
        module("run").duration(text)
