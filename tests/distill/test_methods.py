"""Published methods from end to end, and a stage of several phases that is stopped and goes on."""

import io
import json
import re
from dataclasses import replace

import jobs
import pytest
from rich.console import Console
from safetensors.torch import load_file

import tiny
from pocketbert.distill import phases
from pocketbert.distill.cache import opening
from pocketbert.distill.datasets import EncodedRows
from pocketbert.distill.distillation import distill
from pocketbert.distill.learning import TASK_LOSSES
from pocketbert.distill.methods import METHODS, choose_course
from pocketbert.distill.objective import OF_LOGITS
from pocketbert.distill.phases import Course, Phase, share_of, share_out, train_phases
from pocketbert.errors import Interrupted, ModelError, PocketBertError
from pocketbert.manifest import read_manifest
from pocketbert.recipe import Cache, Data, DistillStage, Losses, Student, Training

SHORT = {"steps": 10, "batch_size": 4, "precision": "fp32"}


def teach(folder, options, head="MaskedLM", data=None, console=jobs.QUIET, **student):
    teacher = tiny.make_checkpoint(folder / "teacher", head=head, layers=4)
    output = folder / "student"
    return distill(options, str(teacher), Student(**student), output, data, console=console), output


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.text])
def test_a_method_on_text(tmp_path, method):
    text = tiny.write_text(tmp_path / "text.txt", 30)
    made, output = teach(tmp_path, DistillStage(method=method, corpus=[str(text)], block=16, **SHORT))
    assert made.metrics["steps"] == 10
    last = METHODS[method].text[-1].losses.model_dump()
    # Where no loss looks at the head there is no quality of a language model to report.
    trained = any(last[name] for name in OF_LOGITS)
    assert ("validation_loss" in made.metrics) is trained
    assert ("best_score" in made.metrics) is trained
    losses = {name for phase in made.options["phases"] for name in phase["losses"]}
    assert losses == {name for phase in METHODS[method].text for name, w in phase.losses.model_dump().items() if w}
    assert not [name for name in load_file(output / "model.safetensors") if "projection" in name]
    tiny_model = tiny.load_stock(output, "MaskedLM")
    assert tiny_model.config.num_hidden_layers == 2


@pytest.mark.parametrize("method", METHODS)
def test_a_method_on_rows(tmp_path, method):
    train = tiny.write_reviews(tmp_path / "train.csv", 60)
    data = Data(task="classification", train=[str(train)], max_length=32)
    made, output = teach(tmp_path, DistillStage(method=method, **SHORT), "SequenceClassification", data)
    phases = METHODS[method].rows
    assert made.metrics["steps"] == 10 and len(made.options["phases"]) == len(phases)
    log = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == sorted(entry["step"] for entry in log) and log[-1]["step"] == 10
    if len(phases) > 1:
        assert list(dict.fromkeys(entry["phase"] for entry in log)) == [phase.name for phase in phases]
        assert sorted(path.name for path in (output / "tensorboard").iterdir()) == sorted(p.name for p in phases)
    assert not (output / "work").exists() and read_manifest(output).key == made.key


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_can_be_compared_inside(tmp_path, family):
    names = ("hidden", "embeddings", "feature_maps", "attention_scores", "attention_maps", "relations")
    losses = Losses(
        **dict.fromkeys((*names, "value_relations", "patience", "representations", "contrastive", "similarities"), 1.0)
    )
    text = tiny.write_text(tmp_path / "text.txt", 30)
    teacher = tiny.make_checkpoint(tmp_path / "teacher", family, layers=4)
    options = DistillStage(losses=losses, corpus=[str(text)], block=16, **SHORT)
    made = distill(options, str(teacher), Student(), tmp_path / "student", console=jobs.QUIET)
    assert made.metrics["steps"] == 10
    entries = [json.loads(line) for line in (tmp_path / "student" / "log.jsonl").read_text().splitlines()]
    logged = {name.removeprefix("loss_") for entry in entries for name in entry if name.startswith("loss_")}
    assert logged == {name for name, weight in losses.model_dump().items() if weight}


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_encoder_without_a_head_teaches_what_asks_for_none(tmp_path, family):
    teacher = tiny.make_checkpoint(tmp_path / "teacher", family, "")
    text = [str(tiny.write_text(tmp_path / "text.txt", 30))]
    options = DistillStage(method="minilmv2", corpus=text, block=16, **SHORT)
    made = distill(options, str(teacher), Student(), tmp_path / "student", console=jobs.QUIET)
    assert made.metrics["steps"] == 10 and "validation_loss" not in made.metrics
    with pytest.raises(ModelError, match="has no MaskedLM head"):
        distill(DistillStage(corpus=text, block=16, **SHORT), str(teacher), Student(), tmp_path / "b")


def test_an_encoder_without_a_head_is_known_again_by_its_cache(tmp_path, monkeypatch):
    """The head that is made for it is random, and no part of what it says."""
    teacher = tiny.make_checkpoint(tmp_path / "teacher", head="")
    text = [str(tiny.write_text(tmp_path / "text.txt", 30))]
    cache = Cache(folder=str(tmp_path / "said"))
    options = DistillStage(method="xtremedistil", corpus=text, block=16, signals="cached", cache=cache, **SHORT)
    console = Console(width=200, file=io.StringIO())
    distill(options, str(teacher), Student(), tmp_path / "first", console=console)
    assert re.search(r"head +│ new", console.file.getvalue())
    monkeypatch.setattr(opening, "OnlineSignals", None)  # all has been said
    distill(options, str(teacher), Student(), tmp_path / "second", console=console)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", ["regression", "token_classification"])
def test_every_method_runs_on_tags_and_numbers(tmp_path, task, method):
    if task == "regression":
        rows = tiny.write_similar(tmp_path / "train.csv", 60)
        teacher = tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification", layers=4, num_labels=1)
    else:
        rows = tiny.write_tags(tmp_path / "train.jsonl", 60)
        teacher = tiny.make_checkpoint(tmp_path / "teacher", head="TokenClassification", layers=4)
    data = Data(task=task, train=[str(rows)], max_length=32)
    options = DistillStage(method=method, **SHORT)
    made = distill(options, str(teacher), Student(), tmp_path / "student", data, console=jobs.QUIET)
    assert made.metrics["steps"] == 10 and made.options["method"] == method


def test_a_method_is_named_on_the_command_line(tmp_path, cli):
    teacher = tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification")
    rows = tiny.write_reviews(tmp_path / "rows.csv", 40)
    options = ["--task", "classification", "--train", rows, "--max-length", "32", "--steps", "4"]
    done = cli("distill", teacher, "--method", "tinybert", *options, "--output", tmp_path / "student")
    assert done.code == 0, done.err
    assert read_manifest(tmp_path / "student").options["method"] == "tinybert"


def test_a_narrow_student_learns_by_relations_and_projections(tmp_path):
    text = tiny.write_text(tmp_path / "text.txt", 30)
    shape = {"hidden_size": 16, "heads": 2, "feed_forward": 32}
    losses = Losses(relations=1.0, hidden=1.0, soft_targets=1.0)
    made, _ = teach(tmp_path, DistillStage(losses=losses, corpus=[str(text)], block=16, **SHORT), **shape)
    assert made.metrics["steps"] == 10 and made.options["layer_map"] == "uniform"


@pytest.mark.parametrize(("losses", "said"), [(Losses(hidden=1.0), True), (Losses(hidden=1.0, labels=1.0), False)])
def test_a_head_that_no_loss_looks_at_is_told_of(tmp_path, losses, said):
    data = Data(task="classification", train=[str(tiny.write_reviews(tmp_path / "train.csv", 60))], max_length=32)
    console = Console(width=300, file=io.StringIO())
    teach(tmp_path, DistillStage(losses=losses, **SHORT), "SequenceClassification", data, console)
    assert ("the head stays as it started" in console.file.getvalue()) is said


def test_what_cannot_be_compared_is_refused_before_anything_is_written(tmp_path):
    text = tiny.write_text(tmp_path / "text.txt", 30)
    options = DistillStage(method="mobilebert", corpus=[str(text)], block=16, **SHORT)
    with pytest.raises(PocketBertError, match=r"losses\.feature_maps compares models with the same hidden width"):
        teach(tmp_path, options, hidden_size=16, feed_forward=32)
    assert not (tmp_path / "student").exists()


def test_a_block_alone_has_nothing_to_be_compared_with(tmp_path):
    text = tiny.write_text(tmp_path / "text.txt", 40)
    options = DistillStage(method="contrastive", corpus=[str(text)], block=16, **SHORT | {"batch_size": 1})
    with pytest.raises(PocketBertError, match=r"losses\.contrastive compares at least 2 texts"):
        teach(tmp_path, options)
    assert not (tmp_path / "student").exists()


def test_a_student_may_be_deeper_than_its_teacher_where_no_layers_are_compared():
    """Copies of a few layers grow into a deep model, as recipes/teacher.yaml does."""
    tokenizer = tiny.make_tokenizer("bert")
    deep, shallow = (tiny.make_model("bert", "MaskedLM", tokenizer, layers=layers) for layers in (4, 1))
    assert Course.of(Losses(masked_lm=1.0)).objectives("masked_lm", deep, shallow, 0)
    of_last = Losses(cosine=1.0, embeddings=1.0, representations=1.0, contrastive=1.0, similarities=1.0)
    assert Course.of(of_last).objectives("masked_lm", deep, shallow, 0)
    with pytest.raises(PocketBertError, match="a student of 4 layers has more than its teacher, 1; name the pairs"):
        Course.of(Losses(hidden=1.0)).objectives("masked_lm", deep, shallow, 0)


def test_a_method_without_a_way_for_text_says_so():
    with pytest.raises(PocketBertError, match=r"the method pkd \(Sun et al\. 2019\) learns from the rows of a task"):
        choose_course(DistillStage(method="pkd", corpus=["text.txt"]), "text", TASK_LOSSES)


def test_a_method_and_losses_are_not_both_named():
    with pytest.raises(ValueError, match="name a method or losses, not both"):
        DistillStage(method="pkd", losses=Losses(labels=1.0))


def test_what_the_user_names_replaces_what_the_method_has():
    course = choose_course(DistillStage(method="minilmv2"), "rows", TASK_LOSSES)
    assert course.layer_map == "top" and [phase.temperature for phase in course.phases] == [2.0, 2.0]
    named = DistillStage(method="minilmv2", layer_map=[(0, 1)], temperature=4.0, relation_heads=8)
    course = choose_course(named, "rows", TASK_LOSSES)
    assert course.layer_map == [(0, 1)] and course.relation_heads == 8
    assert [phase.temperature for phase in course.phases] == [4.0, 4.0]


def test_every_method_ends_with_the_answers_on_rows():
    """A student of a task whose head was never taught would answer by chance."""
    for method in METHODS.values():
        assert Course(method.rows).answers


def test_shares_of_a_stage_add_up():
    for method in METHODS.values():
        for course in (method.text, method.rows):
            assert not course or sum(phase.share for phase in course) == pytest.approx(1)
    assert share_of(Training(steps=10), 0.3).steps == 3 and share_of(Training(steps=1), 0.3).steps == 1
    assert share_of(Training(budget=60), 0.25).budget == 15
    assert share_of(Training(epochs=2), 0.5).epochs == 1 and share_of(Training(), 0.5).epochs == 1.5


@pytest.mark.parametrize("name", ["minilm", "tinybert", "xtremedistil"])
@pytest.mark.parametrize("steps", [3, 5, 7, 15, 16, 101])
def test_phases_have_the_steps_of_the_stage_among_them(name, steps):
    lengths = [part.steps for part in share_out(Training(steps=steps), METHODS[name].rows)]
    assert sum(lengths) == steps and min(lengths) >= 1


def test_every_phase_has_a_step():
    assert [part.steps for part in share_out(Training(steps=1), METHODS["xtremedistil"].rows)] == [1, 1, 1]
    assert [part.budget for part in share_out(Training(budget=60), METHODS["minilm"].rows)] == [30, 30]


def test_a_phase_of_labels_alone_reads_the_labelled_rows(tmp_path, monkeypatch):
    """Most batches would have no label at all where a task has few and much text without any."""
    course = Course(METHODS["xtremedistil"].rows)
    job = jobs.task_job(tmp_path, "classification", TASK_LOSSES, steps=10)
    encoded = job.data.encoded
    examples = [*encoded.examples[:5], *(replace(example, target=None) for example in encoded.examples[5:])]
    data = EncodedRows(replace(encoded, examples=examples), 0)
    read = []

    def note(part):
        read.append(len(part.data))
        return {"steps": 1, "seconds": 1.0}

    monkeypatch.setattr(phases, "train", note)
    monkeypatch.setattr(phases, "_gather_logs", lambda *_: None)
    job = replace(job, data=data, objective=course.objectives("classification", job.model, job.teacher, 0)[0])
    for number in range(3):
        (tmp_path / f"phase-{number + 1}").mkdir()
    train_phases(job, course, "classification")
    assert read == [len(data), len(data), 5]


COURSE = Course((Phase(Losses(hidden=1.0), share=0.5, name="inside"), Phase(TASK_LOSSES, share=0.5, name="answers")))


def phased(folder):
    job = jobs.task_job(folder, "classification", TASK_LOSSES, batch_size=4, steps=12, dropout=0.2)
    return replace(job, evaluate=lambda _model: {"score": 0.5})


@pytest.mark.parametrize("batch", [4, 10])
def test_a_stage_stopped_in_either_phase_ends_with_the_same_weights(tmp_path, batch):
    whole = phased(tmp_path / "whole")
    summary = train_phases(whole, COURSE, "classification")
    assert summary["steps"] == 12 and summary["best_step"] == 7
    stopped = phased(tmp_path / "stopped")
    jobs.stop_at(stopped, batch)
    with pytest.raises(Interrupted, match="inside" if batch == 4 else "answers"):
        train_phases(stopped, COURSE, "classification")
    again = phased(tmp_path / "stopped")
    assert train_phases(again, COURSE, "classification")["steps"] == 12
    assert jobs.largest_difference(whole.model.state_dict(), again.model.state_dict()) == 0
