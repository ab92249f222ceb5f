"""What distillation and fine-tuning take, refuse, keep and skip."""

import json

import jobs
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

import tiny
from pocketbert.distill.distillation import MASKED_LM_LOSSES, TASK_LOSSES, distill
from pocketbert.distill.finetune import finetune
from pocketbert.distill.pretrain import pretrain
from pocketbert.errors import DataError, ModelError, PocketBertError
from pocketbert.pipeline import evaluate
from pocketbert.recipe import Data, DistillStage, FinetuneStage, Losses, PretrainStage, Student

SHORT = {"steps": 2, "batch_size": 4, "precision": "fp32"}


@pytest.fixture
def data(tmp_path):
    train = tiny.write_reviews(tmp_path / "train.csv", 60)
    validation = tiny.write_reviews(tmp_path / "validation.csv", 40, seed=1)
    test = tiny.write_reviews(tmp_path / "test.csv", 40, seed=2)
    return Data(
        task="classification", train=[str(train)], validation=[str(validation)], test=[str(test)], max_length=32
    )


@pytest.fixture
def teacher(tmp_path):
    return str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))


@pytest.fixture
def general(tmp_path):
    """A masked-LM teacher, and the options to distil it on text."""
    text = tiny.write_text(tmp_path / "text.txt", 40)
    return str(tiny.make_checkpoint(tmp_path / "general")), DistillStage(corpus=[str(text)], block=16, **SHORT)


def teach(options, teacher, output, data=None, **student):
    return distill(options, teacher, Student(**student), output, data, console=jobs.QUIET)


def test_the_kept_model_scores_as_the_best_validation(tmp_path, teacher, data):
    options = DistillStage(steps=48, batch_size=16, precision="fp32", learning_rate=3e-3, evaluate_every=6)
    manifest = teach(options, teacher, tmp_path / "student", data, layers=2, architecture="bert")
    entries = [json.loads(line) for line in (tmp_path / "student" / "log.jsonl").read_text().splitlines()]
    scores = {entry["step"]: entry["eval_score"] for entry in entries if "eval_score" in entry}
    assert len(scores) == 8 and len(set(scores.values())) > 1
    best = max(scores.values())
    assert manifest.metrics["best_score"] == best
    assert manifest.metrics["best_step"] == min(step for step, score in scores.items() if score == best)
    again = evaluate(str(tmp_path / "student"), data.model_copy(update={"test": data.validation}))
    assert again.score == pytest.approx(best, abs=1e-9)


def test_masked_lm_distillation_reports_both_losses(tmp_path, general):
    source, options = general
    manifest = teach(options, source, tmp_path / "student", layers=2, architecture="bert")
    student = AutoModelForMaskedLM.from_pretrained(tmp_path / "student")
    assert student.config.num_hidden_layers == 2
    assert manifest.options["losses"] == {
        **Losses().model_dump(), "soft_targets": 5.0, "masked_lm": 2.0, "cosine": 1.0
    }  # fmt: skip
    losses = [manifest.metrics[name] for name in ("validation_loss", "teacher_validation_loss")]
    # A full-depth copy after two small steps is still nearly its teacher.
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_provenance_is_written_down(tmp_path, teacher, data):
    manifest = teach(DistillStage(**SHORT), teacher, tmp_path / "student", data)
    assert [(parent.role, parent.source) for parent in manifest.parents] == [("teacher", teacher)]
    assert set(manifest.data) == {"train", "validation", "test"} and manifest.tokenizer
    assert any("guessed columns" in note for note in manifest.notes)
    assert any("60 train, 40 validation, 40 test" in note for note in manifest.notes)
    assert manifest.metrics["steps"] == 2 and manifest.metrics["precision"] == "fp32"


def test_a_general_student_starts_a_task_student(tmp_path, teacher, data, general):
    source, options = general
    teach(options, source, tmp_path / "general-student")
    manifest = teach(
        DistillStage(**SHORT), teacher, tmp_path / "student", data, start=str(tmp_path / "general-student")
    )
    assert [parent.role for parent in manifest.parents] == ["teacher", "start"]
    assert any(note.startswith("all but the head: ") for note in manifest.notes)
    student = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student")
    assert student.config.model_type == "distilbert" and list(student.config.id2label.values()) == tiny.LABELS


def test_the_seed_decides_the_new_head_of_a_general_student(tmp_path, teacher, data, general):
    source, options = general
    teach(options, source, tmp_path / "general-student")
    weights = []
    for name, before in (("one", 1), ("other", 2)):
        torch.manual_seed(before)  # whatever ran before in this process
        teach(DistillStage(**SHORT), teacher, tmp_path / name, data, start=str(tmp_path / "general-student"))
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_teacher_of_another_task_is_refused_and_a_base_of_another_is_not(tmp_path, teacher):
    path = tmp_path / "scores.csv"
    path.write_text("text,label\n" + "the cat,1.5\na dog,0.5\n" * 20, encoding="utf-8")
    data = Data(task="regression", train=[str(path)], max_length=16)
    with pytest.raises(ModelError, match="teacher: has 2 outputs, but regression has one; finetune it on this data"):
        teach(DistillStage(**SHORT), teacher, tmp_path / "student", data)
    finetune(FinetuneStage(**SHORT), teacher, tmp_path / "tuned", data, console=jobs.QUIET)
    teach(DistillStage(**SHORT), str(tmp_path / "tuned"), tmp_path / "student", data)
    multi = data.model_copy(update={"task": "multi_label", "labels": ["1.5", "0.5"]})
    finetune(FinetuneStage(**SHORT), str(tmp_path / "tuned"), tmp_path / "sets", multi, console=jobs.QUIET)
    single = multi.model_copy(update={"task": "classification"})
    with pytest.raises(ModelError, match=r"sets: was trained for multi_label .*set data\.task: multi_label"):
        teach(DistillStage(**SHORT), str(tmp_path / "sets"), tmp_path / "other", single)
    finetune(FinetuneStage(**SHORT), str(tmp_path / "sets"), tmp_path / "labels", single, console=jobs.QUIET)


def test_labels_are_in_the_teachers_order(tmp_path, data):
    fields = {"num_labels": 2, "id2label": {0: "good", 1: "bad"}, "label2id": {"good": 0, "bad": 1}}
    teacher = tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification", **fields)
    teach(DistillStage(**SHORT), str(teacher), tmp_path / "student", data)
    student = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student")
    assert student.config.id2label == {0: "good", 1: "bad"}


def test_targets_follow_the_teachers_order(tmp_path, data):
    """A student of the labels alone answers as the rows say, whatever order its teacher has them in."""
    teacher = tiny.make_checkpoint(tmp_path / "base", head="MaskedLM")
    options = FinetuneStage(steps=60, batch_size=16, precision="fp32", learning_rate=3e-3)
    finetune(options, str(teacher), tmp_path / "teacher", data, console=jobs.QUIET)
    straight = evaluate(str(tmp_path / "teacher"), data).score
    assert straight > 0.8
    turned = data.model_copy(update={"labels": ["good", "bad"]})
    assert evaluate(str(tmp_path / "teacher"), turned).score == pytest.approx(straight)
    lessons = DistillStage(
        steps=60, batch_size=16, precision="fp32", learning_rate=3e-3, losses=Losses(labels=1), evaluate_every=10
    )
    lesson = teach(lessons, str(tmp_path / "teacher"), tmp_path / "student", turned, layers=2, architecture="bert")
    assert lesson.metrics["best_score"] > 0.8
    assert evaluate(str(tmp_path / "student"), data).score > 0.8


@pytest.mark.parametrize("stage", ["finetune", "distill"])
def test_a_finished_stage_is_left_as_it_is(tmp_path, teacher, data, stage):
    def make(**options):
        if stage == "finetune":
            return finetune(FinetuneStage(**SHORT | options), teacher, tmp_path / "made", data, console=jobs.QUIET)
        return teach(DistillStage(**SHORT | options), teacher, tmp_path / "made", data)

    first = make()
    weights = tmp_path / "made" / "model.safetensors"
    time = weights.stat().st_mtime_ns
    assert make() == first and weights.stat().st_mtime_ns == time
    with pytest.raises(PocketBertError, match="holds a model made from other inputs or options; name another output"):
        make(steps=3)
    tiny.write_reviews(tmp_path / "train.csv", 61)
    with pytest.raises(PocketBertError, match="holds a model made from other inputs"):
        make()
    assert weights.stat().st_mtime_ns == time


def test_a_finished_stage_is_made_anew_on_request(tmp_path, teacher, data):
    output = tmp_path / "student"
    first = teach(DistillStage(**SHORT), teacher, output, data)
    options = DistillStage(**SHORT | {"steps": 3})
    second = distill(options, teacher, Student(), output, data, console=jobs.QUIET, replace=True)
    assert second.key != first.key and second.metrics["steps"] == 3 and not (output / "work").exists()


def test_a_folder_of_other_things_is_not_touched(tmp_path, teacher, data):
    output = tmp_path / "student"
    output.mkdir()
    (output / "thesis.doc").write_text("years of work")
    with pytest.raises(PocketBertError, match="is not empty and not from PocketBERT"):
        teach(DistillStage(**SHORT), teacher, output, data)
    assert [path.name for path in output.iterdir()] == ["thesis.doc"]


# Refusals


def test_a_start_with_another_tokenizer_is_refused(tmp_path, teacher, data):
    tokenizer = tiny.make_tokenizer("bert")
    other = type(tokenizer)(vocab={piece: id_ for piece, id_ in tokenizer.get_vocab().items() if id_ < 60})
    folder = tmp_path / "start"
    tiny.make_model("bert", "MaskedLM", other).save_pretrained(folder)
    other.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"its tokenizer differs from that of .*different pieces"):
        teach(DistillStage(**SHORT), teacher, tmp_path / "student", data, start=str(folder))


def test_a_start_with_another_position_limit_is_refused(tmp_path, teacher, data):
    folder = tmp_path / "start"
    tokenizer = tiny.make_tokenizer("bert")
    config = tiny.make_config("bert", tokenizer)
    config.max_position_embeddings = 40
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"takes 40 positions but its teacher .* takes 48"):
        teach(DistillStage(**SHORT), teacher, tmp_path / "student", data, start=str(folder))


def test_cosine_between_other_widths_is_refused_where_it_was_asked_for(tmp_path, general, teacher, data):
    source, options = general
    asked = options.model_copy(update={"losses": MASKED_LM_LOSSES})
    with pytest.raises(PocketBertError, match=r"the student has 16 and the teacher 32; losses\.relations compares any"):
        teach(asked, source, tmp_path / "student", hidden_size=16)
    losses = Losses(soft_targets=1, cosine=1)
    with pytest.raises(PocketBertError, match="the student has 16 and the teacher 32"):
        teach(DistillStage(losses=losses, **SHORT), teacher, tmp_path / "student", data, hidden_size=16)
    assert not list((tmp_path).glob("student/model*"))


def test_the_default_goes_without_cosine_for_another_width(tmp_path, general, teacher, data):
    manifest = teach(DistillStage(**SHORT), teacher, tmp_path / "student", data, hidden_size=16, heads=2)
    assert any("new (another shape)" in note for note in manifest.notes)
    assert manifest.options["losses"] == TASK_LOSSES.model_dump() | {"cosine": 0.0}
    source, options = general
    manifest = teach(options, source, tmp_path / "general-student", hidden_size=16)
    assert manifest.options["losses"] == MASKED_LM_LOSSES.model_dump() | {"cosine": 0.0}


def test_a_teacher_without_masked_lm_head_is_refused(tmp_path, teacher, general):
    with pytest.raises(ModelError, match="has no MaskedLM head"):
        teach(general[1], teacher, tmp_path / "student")


def test_a_teacher_of_other_labels_is_refused(tmp_path, data):
    fields = {"num_labels": 2, "id2label": {0: "up", 1: "down"}, "label2id": {"up": 0, "down": 1}}
    teacher = tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification", **fields)
    with pytest.raises(ModelError, match=r"its labels \(up, down\) are not those of the data \(bad, good\)"):
        teach(DistillStage(**SHORT), str(teacher), tmp_path / "student", data)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (Losses(masked_lm=1), "losses.masked_lm has no meaning here; the true answers weigh in as losses.labels"),
        (Losses(), "every loss has weight 0"),
    ],
)
def test_losses_without_meaning_are_refused(tmp_path, teacher, data, losses, message):
    with pytest.raises(PocketBertError, match=message):
        teach(DistillStage(losses=losses, **SHORT), teacher, tmp_path / "student", data)


def test_labels_have_no_meaning_on_text(tmp_path, general):
    source, options = general
    with pytest.raises(PocketBertError, match=r"losses\.labels has no meaning here"):
        teach(options.model_copy(update={"losses": Losses(labels=1)}), source, tmp_path / "student")


def test_distillation_without_data_is_refused(tmp_path, teacher):
    with pytest.raises(PocketBertError, match="name the rows of a task"):
        teach(DistillStage(**SHORT), teacher, tmp_path / "student")


@pytest.mark.parametrize("stage", ["finetune", "distill"])
def test_rows_longer_than_the_model_takes_are_refused(tmp_path, teacher, data, stage):
    long = data.model_copy(update={"max_length": 49})
    with pytest.raises(PocketBertError, match="48 tokens"):
        if stage == "finetune":
            finetune(FinetuneStage(**SHORT), teacher, tmp_path / "made", long, console=jobs.QUIET)
        else:
            teach(DistillStage(**SHORT), teacher, tmp_path / "made", long)


def test_blocks_longer_than_the_model_takes_are_refused(tmp_path, general):
    source, options = general
    with pytest.raises(ModelError, match="takes at most 48 tokens, but 64 are asked for"):
        teach(options.model_copy(update={"block": 64}), source, tmp_path / "student")


def test_text_for_less_than_two_blocks_is_refused(tmp_path, general):
    source, options = general
    text = tiny.write_text(tmp_path / "short.txt", 1)
    with pytest.raises(DataError, match=r"short\.txt: \d+ tokens fill [01] blocks of 48; give more text"):
        teach(options.model_copy(update={"corpus": [str(text)], "block": 48}), source, tmp_path / "student")


# Pretraining


PRETRAIN = {
    "vocabulary": 101, "layers": 1, "hidden_size": 32, "heads": 4, "positions": 32, "block": 16, "steps": 3,
    "batch_size": 4, "precision": "fp32",
}  # fmt: skip


def test_pretraining_makes_a_teacher_for_masked_lm(tmp_path):
    text = tiny.write_text(tmp_path / "text.txt", 60)
    manifest = pretrain(PretrainStage(corpus=[str(text)], **PRETRAIN), tmp_path / "bert", console=jobs.QUIET)
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "bert")
    assert model.config.max_position_embeddings == 32 and model.config.vocab_size <= 101
    assert manifest.metrics["documents"] == 60 and manifest.metrics["validation_loss"] > 0
    lesson = DistillStage(corpus=[str(text)], block=16, **SHORT)
    teach(lesson, str(tmp_path / "bert"), tmp_path / "student", layers=1)
    # The second stage finds the corpus of the first.
    assert len(list((tmp_path / "corpora").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 5}, "hidden_size 32 is not a multiple of heads 5"),
        ({"block": 64}, "block 64 is longer than positions 32"),
    ],
)
def test_impossible_shapes_are_refused(tmp_path, options, message):
    text = tiny.write_text(tmp_path / "text.txt", 60)
    with pytest.raises(PocketBertError, match=message):
        pretrain(PretrainStage(corpus=[str(text)], **PRETRAIN | options), tmp_path / "bert", console=jobs.QUIET)


def test_held_out_text_is_validated_on(tmp_path):
    text, other = tiny.write_text(tmp_path / "text.txt", 60), tiny.write_text(tmp_path / "other.txt", 60, seed=9)
    stage = PretrainStage(corpus=[str(text)], held_out=[str(other)], **PRETRAIN)
    manifest = pretrain(stage, tmp_path / "bert", console=jobs.QUIET)
    assert set(manifest.data) == {"corpus", "held_out"}
    assert len(list((tmp_path / "corpora").iterdir())) == 2


def test_soft_targets_alone_bring_a_student_to_its_teacher(tmp_path, general):
    """The whole objective on text, run long enough to learn: the divergence falls."""
    source, options = general
    update = {"steps": 40, "learning_rate": 3e-3, "losses": Losses(soft_targets=1.0), "soft_targets": "all"}
    teach(options.model_copy(update=update), source, tmp_path / "student", layers=1, init="none")
    entries = [json.loads(line) for line in (tmp_path / "student" / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss_soft_targets"] for entry in entries if "loss_soft_targets" in entry]
    assert losses[-1] < 0.9 * losses[0]
    assert torch.isfinite(torch.tensor(losses)).all()
