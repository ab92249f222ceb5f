"""A whole recipe: walked, walked again, changed, and held to its gates."""

import pytest
import torch
import yaml
from rich.console import Console

import pocketbert
import tiny
from pocketbert import pipeline
from pocketbert.errors import GateBreach, PocketBertError
from pocketbert.measure import bench_timing, evaluation, language
from pocketbert.measure.comparison import Report
from pocketbert.measure.results import Startup
from pocketbert.pipeline import comparing
from pocketbert.recipe import Data, ExportStage, Recipe

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Time both models for a moment only."""
    for module in (evaluation, language):
        monkeypatch.setattr(module, "SPEED_SECONDS", 0.3)


@pytest.fixture
def tree(tmp_path):
    """A recipe of all stages: pretrain, finetune, distil on text, distil on rows."""
    text = tiny.write_text(tmp_path / "text.txt", 60)
    rows = {role: str(tiny.write_reviews(tmp_path / f"{role}.csv", 60, seed))
            for seed, role in enumerate(("train", "validation", "test"))}  # fmt: skip
    short = {"steps": 3, "batch_size": 8, "precision": "fp32"}
    shape = {"vocabulary": 101, "layers": 2, "hidden_size": 32, "heads": 4, "positions": 32, "block": 16}
    return {
        "name": "tiny",
        "output": str(tmp_path / "run"),
        "threads": 1,
        "student": {"layers": 1},
        "data": {"task": "classification", **rows, "max_length": 32},
        "stages": [
            {"pretrain": {"corpus": str(text), **shape, **short}},
            {"finetune": {**short}},
            {"distill": {"corpus": str(text), "block": 16, **short}},
            {"distill": {**short}},
        ],
    }


def walk(tree):
    return pipeline.run(Recipe.model_validate(tree), console=QUIET)


def times(folder):
    """When each model and each comparison was written."""
    paths = [*folder.rglob("*.safetensors"), *folder.rglob("*-comparison.json"), *folder.rglob("corpora/*/index.json")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def test_a_recipe_is_walked_from_text_to_report(tree, tmp_path):
    report = walk(tree)
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} >= {
        "01-pretrain", "02-finetune", "03-distill", "04-distill", "04-without-teacher", "04-comparison.json",
        "corpora", "report.json", "report.html",
    }  # fmt: skip
    assert Report.model_validate_json((folder / "report.json").read_bytes()) == report
    manifests, parents = report.provenance.manifests, parents_of(report)
    assert parents["02-finetune"] == [str(folder / "01-pretrain")]
    assert parents["03-distill"] == [str(folder / "01-pretrain")]
    # The student of the task learns from the finetuned teacher and starts from the general student.
    assert parents["04-distill"] == parents["04-without-teacher"] == [
        str(folder / "02-finetune"), str(folder / "03-distill")
    ]  # fmt: skip
    weights = manifests["04-without-teacher"]["options"]["losses"]
    assert {name: weight for name, weight in weights.items() if weight} == {"labels": 1.0}
    assert {curve.stage for curve in report.curves} == set(manifests)
    assert set(report.sizes) >= {"teacher", "student"} and report.speed
    assert "<html" in (folder / "report.html").read_text()[:200].lower()
    assert report.demonstration is None and report.provenance.recipe["name"] == "tiny"
    assert not list(folder.rglob("work"))


def test_unchanged_stages_are_skipped_and_changed_ones_made_again(tree, tmp_path):
    walk(tree)
    folder = tmp_path / "run"
    first = times(folder)
    walk(tree)
    assert times(folder) == first

    tree["stages"][3]["distill"]["learning_rate"] = 1e-4
    walk(tree)
    second = times(folder)
    changed = {name for name in first if first[name] != second[name]}
    assert {name.split("/")[0] for name in changed} == {"04-distill", "04-without-teacher"} | {
        name for name in changed if name.endswith("comparison.json") and name.startswith("04")
    }
    assert "04-comparison.json" in changed

    tiny.write_reviews(tmp_path / "train.csv", 61)
    walk(tree)
    third = times(folder)
    remade = {name.split("/")[0] for name in second if second[name] != third[name]}
    assert remade == {"02-finetune", "04-distill", "04-without-teacher", "04-comparison.json"} | (
        remade & {"03-comparison.json"}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": None}, r"stages\.1\.finetune: name the rows"),
        ({"test": "nothing.csv"}, r"nothing\.csv: no such file"),
        ({"label": "mood"}, "mood"),
    ],
)
def test_rows_of_no_use_are_refused_before_the_first_stage(tree, tmp_path, change, message):
    if "data" in change:
        del tree["data"]
    else:
        tree["data"] |= change
    with pytest.raises(PocketBertError, match=message):
        walk(tree)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("number", "fields"), [(3, {"precision": "fp16"}), (4, {"recover": {"precision": "fp16"}})])
def test_a_precision_of_no_use_here_is_refused_before_the_first_stage(tree, tmp_path, monkeypatch, number, fields):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tree["stages"].append({"prune": {"layers": 0.5}})
    next(iter(tree["stages"][number].values())).update(fields)
    with pytest.raises(PocketBertError, match="fp16 needs a GPU; set precision"):
        walk(tree)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("data", "augment", "message"),
    [
        ({"unlabelled": "nothing.txt"}, None, r"nothing\.txt: no such file"),
        ({}, {"model": "./nothing"}, r"nothing: no such model directory"),
    ],
)
def test_text_of_no_use_is_refused_before_the_first_stage(tree, tmp_path, data, augment, message):
    tree["data"] |= data
    tree["stages"][3]["distill"]["augment"] = augment
    with pytest.raises(PocketBertError, match=message):
        walk(tree)
    assert not (tmp_path / "run").exists()


def test_the_student_without_a_teacher_takes_as_many_steps_on_labelled_rows_alone(tree, tmp_path):
    tree["teacher"] = {"model": str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))}
    tree["data"]["unlabelled"] = str(tiny.write_text(tmp_path / "more.txt", 20))
    tree["stages"] = [{"distill": {"epochs": 1, "batch_size": 10, "precision": "fp32", "augment": {"copies": 2}}}]
    manifests = walk(tree).provenance.manifests
    made, alone = manifests["01-distill"], manifests["01-without-teacher"]
    # 60 labelled rows, two copies of each, and 20 rows without a label.
    assert made["metrics"]["steps"] == alone["metrics"]["steps"] == 20
    assert "unlabelled" in made["data"] and "unlabelled" not in alone["data"]
    assert alone["options"]["augment"] is None and alone["options"]["data"]["unlabelled"] is None


def test_two_tasks_in_one_recipe_are_not_taken_for_repeats(tree, tmp_path):
    rows = {role: str(tiny.write_reviews(tmp_path / f"other-{role}.csv", 60, 9)) for role in ("train", "test")}
    short = tree["stages"][3]["distill"] | {"without_teacher": False}
    tree["stages"] = [{"distill": short}, {"distill": short | {"data": {"task": "classification", **rows}}}]
    tree["teacher"] = {"model": str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))}
    tree["stages"][1]["distill"]["data"]["max_length"] = 32
    report = walk(tree)
    assert [task.name for task in report.tasks] == ["tiny", "tiny: stage 2"]


def test_a_breached_gate_ends_with_one_and_the_report_is_written(tree, tmp_path, cli):
    tree["stages"] = [tree["stages"][1]]
    tree["teacher"] = {"model": str(tiny.make_checkpoint(tmp_path / "teacher"))}
    tree["stages"].append({"distill": {"steps": 2, "batch_size": 8, "precision": "fp32", "without_teacher": False}})
    tree["gates"] = {"smaller": 0.99, "faster": 0.001}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    called = cli("run", recipe, "--json", tmp_path / "copy.json")
    assert called.code == 1
    assert "1 gate not held" in called.err and "Traceback" not in called.err
    written = (tmp_path / "run" / "report.json").read_bytes()
    report = Report.model_validate_json(written)
    assert {gate.name: gate.passed for gate in report.gates} == {"smaller": False, "faster": True}
    assert Report.model_validate_json((tmp_path / "copy.json").read_bytes()) == report
    assert (tmp_path / "run" / "report.html").exists()
    # Run again with gates that hold: nothing is trained, and the exit is 0.
    before = times(tmp_path / "run")
    called = cli("run", recipe, "gates.smaller=0.01")
    assert called.code == 0, called.err
    assert "kept" in called.out and times(tmp_path / "run") == before


def test_a_breach_carries_the_report(tree, tmp_path):
    tree["teacher"] = {"model": str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))}
    tree["stages"] = [{"distill": {"steps": 2, "batch_size": 8, "precision": "fp32", "without_teacher": False}}]
    tree["gates"] = {"smaller": 0.99}
    with pytest.raises(GateBreach, match="smaller") as breach:
        walk(tree)
    assert breach.value.report.tasks and "without_teacher" not in breach.value.report.sizes


def test_a_chain_is_measured_on_rows_held_out_of_the_training_rows(tree, tmp_path, monkeypatch):
    """As in recipes/pocket.yaml, where a person names one table."""
    start = Startup(load_seconds=1.5, first_answer_seconds=0.25, peak_bytes=7)
    monkeypatch.setattr(bench_timing, "measure_startup", lambda *_: start)
    monkeypatch.setattr(comparing, "SECONDS", 0.5)
    tree["teacher"] = {"model": str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))}
    tree["data"] = {"task": "classification", "train": tree["data"]["train"], "max_length": 32}
    tree["stages"] = [{"trim": {"least": 1}}]
    report = walk(tree)
    assert [model.name.split()[0] for model in report.bench.models] == ["teacher", "01-trim"]
    assert report.bench.examples == report.tasks[-1].examples > 0


def test_a_breach_of_a_stage_ends_the_run_with_one(tree, tmp_path, cli):
    """There is no report yet: the message says what was measured, and so does the file."""
    tree["teacher"] = {"model": str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))}
    tree["stages"] = [{"export": {"formats": ["onnx"], "limits": {"fp32": 1e-12}}}, {"export": {"formats": ["onnx"]}}]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    called = cli("run", recipe, "--json", tmp_path / "breach.json")
    assert called.code == 1 and "Traceback" not in called.err
    assert "export: 1 file outside the limits" in called.err and "a logit is off by" in called.err
    assert "onnx/model.onnx" in (tmp_path / "breach.json").read_text()
    assert not (tmp_path / "run" / "report.json").exists() and not (tmp_path / "run" / "02-export").exists()


def parents_of(report):
    """Sources of the models that each folder was made from, by its name."""
    manifests = report.provenance.manifests
    return {name: [parent["source"] for parent in manifest["parents"]] for name, manifest in manifests.items()}


def general_tree(tree, tmp_path, *stages, head="MaskedLM", **fields):
    """A recipe whose first stage makes a general student."""
    tree["teacher"] = {"model": str(tiny.make_checkpoint(tmp_path / "teacher", head=head))}
    text = tree["stages"][2]["distill"]["corpus"]
    tree["stages"] = [{"distill": tree["stages"][2]["distill"] | fields}, *stages]
    return text, tmp_path / "run"


@pytest.mark.parametrize("with_rows", [True, False])
def test_a_general_student_is_what_is_made_smaller_and_exported(tree, tmp_path, with_rows):
    """Whether or not the recipe has rows, which are of a task that such a student does not answer."""
    text, folder = general_tree(tree, tmp_path)
    if not with_rows:
        del tree["data"]
    tree["stages"] += [{"trim": {"corpus": text, "least": 1}}, {"export": {"formats": ["onnx"]}}]
    report = walk(tree)
    teacher = str(tmp_path / "teacher")
    assert parents_of(report) == {
        "01-distill": [teacher], "02-trim": [str(folder / "01-distill")], "03-export": [str(folder / "02-trim")]
    }  # fmt: skip
    assert tiny.load_stock(folder / "03-export", "MaskedLM").config.model_type == "distilbert"
    # It is measured on text, as it was made.
    assert [task.task for task in report.tasks] == ["masked_lm"] and report.bench is None


def test_the_next_student_starts_from_what_became_of_a_general_one(tree, tmp_path):
    rows = {"distill": tree["stages"][3]["distill"] | {"without_teacher": False}}
    _, folder = general_tree(
        tree, tmp_path, {"export": {"formats": ["onnx"]}}, rows, head="SequenceClassification", method="minilmv2"
    )
    assert parents_of(walk(tree))["03-distill"] == [str(tmp_path / "teacher"), str(folder / "02-export")]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"prune": {"layers": 0.5}}], r"stages\.1\.prune: the student of stages\.0\.distill is a general one"),
        ([{"quantize": {}}], r"stages\.1\.quantize: .* without the head of a task; distil it on rows first"),
        ([{"trim": {}}, {"distill": {}}], r"stages\.2\.distill: .* stages\.1\.trim, .*; trim after the last distill"),
    ],
)
def test_what_a_general_student_cannot_be_put_to_is_refused_before_it_is_made(tree, tmp_path, stages, message):
    general_tree(tree, tmp_path, *stages)
    with pytest.raises(PocketBertError, match=message):
        walk(tree)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stage", [{"finetune": {}}, {"distill": {}}, {"distill": {"corpus": "embedded:text"}}])
def test_a_stage_without_a_model_is_refused(tmp_path, stage):
    tree = {"name": "x", "output": str(tmp_path / "run"), "data": {"task": "classification", "train": "train.csv"}}
    with pytest.raises(PocketBertError, match=r"stages\.0\.\w+: no model yet; set teacher\.model"):
        walk({**tree, "stages": [stage]})


def test_a_recipe_without_rows_is_refused(tmp_path):
    teacher = tiny.make_checkpoint(tmp_path / "teacher")
    tree = {"name": "x", "output": str(tmp_path / "run"), "teacher": {"model": str(teacher)}}
    with pytest.raises(PocketBertError, match="finetune: name the rows of a task"):
        walk({**tree, "stages": [{"finetune": {}}]})


def embedding_tree(tmp_path):
    """A recipe with a teacher of embeddings, and scored pairs to report."""
    tiny.make_checkpoint(tmp_path / "teacher", "bert", "", layers=2)
    rows = {
        "train": str(tiny.write_lines(tmp_path / "texts.txt", 40)),
        "test": str(tiny.write_similar(tmp_path / "pairs.csv", 30)),
    }
    return {
        "name": "vectors",
        "output": str(tmp_path / "run"),
        "threads": 1,
        "teacher": {"model": str(tmp_path / "teacher")},
        "data": {"task": "embedding", **rows, "max_length": 32},
        "stages": [{"distill": {"steps": 3, "batch_size": 8, "precision": "fp32"}}],
    }


def test_embeddings_go_from_a_recipe_to_a_file_that_gives_the_students_vectors(tmp_path):
    tree = embedding_tree(tmp_path)
    (task,) = walk(tree).tasks
    assert task.task == "embedding" and task.deciding == ["spearman"] and task.gain is None
    assert set(task.models) == {"teacher", "student", "majority"} and task.models["majority"].score == 0
    made, exported = tmp_path / "run" / "01-distill", tmp_path / "exported"
    data = Data.model_validate(tree["data"])
    manifest = pipeline.export(ExportStage(formats=["onnx"]), str(made), exported, data, console=QUIET)
    assert manifest.stage == "export"
    student = tiny.load_stock(made, "").eval()
    tokens = tiny.make_tokenizer("bert")("the grey cat", return_tensors="pt")
    states = student(tokens["input_ids"], tokens["attention_mask"])[0][0]
    vectors = pocketbert.load(exported, normalise=False)
    assert vectors("the grey cat").vector == pytest.approx(states.mean(dim=0).detach().numpy(), abs=1e-4)


def test_a_recipe_of_embeddings_without_scored_pairs_is_refused_at_once(tmp_path):
    tree = embedding_tree(tmp_path)
    del tree["data"]["test"]
    with pytest.raises(PocketBertError, match=r"stages.0.distill: embedding is scored on pairs .* name such in data"):
        walk(tree)
    assert not (tmp_path / "run" / "01-distill").exists()
