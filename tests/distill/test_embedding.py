"""Students that make embeddings: what they learn from, choose by and refuse; every family by the command line."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

import tiny
from pocketbert.distill.distillation import distill
from pocketbert.distill.finetune import finetune
from pocketbert.distill.prediction import run_model
from pocketbert.distill.rows import read_rows, read_test_rows
from pocketbert.errors import DataError, PocketBertError
from pocketbert.models.loading import load_model
from pocketbert.recipe import Data, DistillStage, FinetuneStage, Losses, PruneStage, QuantizeStage, Student
from pocketbert.shrink.prune import prune
from pocketbert.shrink.quantize import quantize

SHORT = {"steps": 4, "batch_size": 8, "precision": "fp32"}


@pytest.fixture
def texts(tmp_path):
    return str(tiny.write_lines(tmp_path / "texts.txt", 40))


@pytest.fixture
def pairs(tmp_path):
    return str(tiny.write_similar(tmp_path / "pairs.csv", 40))


def data_of(train, **fields):
    return Data(task="embedding", train=[train], max_length=32, **fields)


def teach(tmp_path, data, options=None, family="bert", **shape):
    """A student, its manifest, and what was said."""
    if not (tmp_path / "teacher").exists():
        tiny.make_checkpoint(tmp_path / "teacher", family, "", layers=4)
    console = Console(width=400, file=io.StringIO())
    options = options or DistillStage(**SHORT)
    made = distill(options, str(tmp_path / "teacher"), Student(**shape), tmp_path / "student", data, console=console)
    return made, console.file.getvalue()


def losses_of(made):
    return made.options["phases"][0]["losses"]


def test_texts_alone_are_enough_and_the_last_weights_count(tmp_path, texts):
    made, said = teach(tmp_path, data_of(texts))
    assert losses_of(made) == {"contrastive": 1.0, "cosine": 1.0} and made.metrics["steps"] == 4
    assert "best_score" not in made.metrics and "the last weights count" in said and "head" not in said


def test_the_checkpoint_is_chosen_by_scored_pairs(tmp_path, texts, pairs):
    made, said = teach(tmp_path, data_of(texts, validation=[pairs], test=[pairs]))
    assert made.metrics["best_score"] == pytest.approx(score_of(tmp_path / "student", pairs), abs=1e-6)
    assert "rows: 40 train, 40 validation, 40 test" in said


def score_of(folder, pairs):
    """Spearman's correlation of cosines by stock code, each text alone."""
    loaded = load_model(str(folder), "")
    rows = read_test_rows(data_of(pairs, test=[pairs]), None)

    def vector(text):
        inputs = loaded.tokenizer(text, truncation=True, max_length=32, return_tensors="pt")
        with torch.no_grad():
            return loaded.model(**inputs).last_hidden_state[0].mean(dim=0)

    cosines = [torch.cosine_similarity(vector(row.text), vector(row.pair), dim=0).item() for row in rows.test]
    return rows.task.score(cosines, [row.target for row in rows.test])["spearman"]


def test_validation_pairs_alone_are_reported_and_not_selected_on(texts, pairs):
    rows = read_rows(data_of(texts, validation=[pairs]))
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (40, 0, 40)


def test_scored_pairs_to_learn_from_are_held_out_as_ever(pairs):
    rows = read_rows(data_of(pairs))
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (32, 4, 4)
    assert all(row.target is not None for row in rows.test)


def test_plain_text_needs_no_layout(tmp_path, texts):
    test = tmp_path / "dev.tsv"
    test.write_text("sentence1\tsentence2\tscore\n" + "the cat\ta dog\t2.5\n" * 3)
    rows = read_rows(data_of(texts, test=[str(test)], layout="stsb"))
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (40, 0, 3)


def test_a_student_of_another_width_learns_similarities(tmp_path, texts):
    made, said = teach(tmp_path, data_of(texts), hidden_size=16, heads=2)
    assert "the student's vectors have 16 numbers and the teacher's 32" in said
    log = [json.loads(line) for line in (tmp_path / "student" / "log.jsonl").read_text().splitlines()]
    assert {name for line in log for name in line if name.startswith("loss_")} == {"loss_similarities"}
    assert made.options["losses"]["similarities"] == 1


def test_learning_brings_the_vectors_to_the_teachers(tmp_path, texts):
    def distance(folder):
        models = [load_model(str(each), "") for each in (tmp_path / "teacher", folder)]
        rows = read_rows(data_of(texts))
        found = []
        for loaded in models:
            encoded = rows.task.encode(rows.train, loaded.tokenizer)
            found.append(np.stack(run_model(loaded.model, "embedding", encoded.features, 0)))
        norms = [np.linalg.norm(each, axis=1) for each in found]
        return float(1 - np.mean((found[0] * found[1]).sum(axis=1) / (norms[0] * norms[1])))

    teach(tmp_path, data_of(texts), DistillStage(learning_rate=1e-9, **SHORT), layers=2)
    before = distance(tmp_path / "student")
    (tmp_path / "student").rename(tmp_path / "first")
    teach(tmp_path, data_of(texts), DistillStage(learning_rate=2e-3, **SHORT | {"steps": 40}), layers=2)
    assert distance(tmp_path / "student") < 0.7 * before


@pytest.mark.parametrize("signals", ["online", "cached"])
@pytest.mark.parametrize("method", ["contrastive", "minilmv2"])
def test_methods_for_text_are_methods_for_embeddings(tmp_path, texts, method, signals):
    options = DistillStage(method=method, signals=signals, **SHORT)
    if (method, signals) == ("minilmv2", "cached"):
        with pytest.raises(PocketBertError, match="compares attention, which is not kept"):
            teach(tmp_path, data_of(texts), options)
        return
    assert teach(tmp_path, data_of(texts), options)[0].metrics["steps"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": Losses(soft_targets=1, cosine=1)}, "distill: losses.soft_targets looks at the answers of a head"),
        ({"losses": Losses(labels=1)}, "losses.labels looks at the answers"),
        ({"losses": Losses(masked_lm=1)}, "losses.masked_lm looks at the answers"),
        ({"losses": Losses()}, "every loss has weight 0"),
        ({"method": "distilbert"}, "losses.soft_targets looks at the answers"),
        ({"method": "pkd"}, "the method pkd .* not from texts to embed; name another"),
    ],
)
def test_losses_of_a_head_are_refused(tmp_path, texts, options, message):
    with pytest.raises(PocketBertError, match=message):
        teach(tmp_path, data_of(texts), DistillStage(**SHORT, **options))


@pytest.mark.parametrize(
    ("batch", "options", "shape", "loss"),
    [
        (1, {}, {}, "contrastive compares at least 2 texts"),
        (2, {"losses": Losses(similarities=1)}, {}, "similarities compares at least 3 texts"),
        (2, {}, {"hidden_size": 16, "heads": 2}, "similarities compares at least 3 texts"),
    ],
)
def test_a_batch_with_nothing_to_compare_is_refused_before_anything_is_written(
    tmp_path, texts, batch, options, shape, loss
):
    short = SHORT | {"batch_size": batch, "accumulation": 8}
    with pytest.raises(PocketBertError, match=rf"distill: losses\.{loss} .* batch_size is {batch}; .*accumulation"):
        teach(tmp_path, data_of(texts), DistillStage(**short, **options), **shape)
    assert not (tmp_path / "student").exists()
    teach(tmp_path, data_of(texts), DistillStage(**short | {"batch_size": batch + 1}, **options), **shape)


def test_stages_that_need_labels_or_answers_are_refused(tmp_path, texts):
    folder = tmp_path / "x"
    for stage, options, message in (
        (finetune, FinetuneStage(), "finetune: embedding has no labels to learn from"),
        (prune, PruneStage(layers=0.5), "prune: embedding has no labels to learn from"),
        (quantize, QuantizeStage(), "quantize: a model of embeddings has no answers to hold int8 to"),
    ):
        with pytest.raises(PocketBertError, match=message):
            stage(options, str(folder), folder, data_of(texts))


def test_pairs_without_a_number_are_refused_by_their_row(texts, tmp_path):
    bad = tmp_path / "dev.csv"
    bad.write_text("sentence1,sentence2,score\na cat,a dog,4\na cat,a dog,near\n")
    with pytest.raises(DataError, match=r"dev\.csv row 2: column 'score' has 'near', not a finite number"):
        read_rows(data_of(texts, test=[str(bad)]))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_is_taught_scored_and_compared_by_the_command_line(tmp_path, cli, texts, pairs, family):
    teacher = tiny.make_checkpoint(tmp_path / "teacher", family, "", layers=2)
    rows = ("--task", "embedding", "--max-length", 32)
    length = ("--steps", 2, "--batch-size", 8, "--precision", "fp32")
    learnt = ("--train", texts, "--validation", pairs, "--test", pairs, "--method", "contrastive")
    done = cli("distill", teacher, *rows, *learnt, *length, "--output", tmp_path / "student")
    assert done.code == 0, done.err
    student = tiny.load_stock(tmp_path / "student", "")
    assert student.config.model_type == ("distilbert" if family == "bert" else family)
    scored = cli("evaluate", tmp_path / "student", *rows, "--data", pairs, "--json", tmp_path / "score.json")
    assert scored.code == 0, scored.err
    found = json.loads((tmp_path / "score.json").read_text())
    assert found["deciding"] == ["spearman"] and found["score"] == pytest.approx(score_of(tmp_path / "student", pairs))
    assert found["majority"]["spearman"] == 0
