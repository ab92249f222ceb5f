"""What a student is known again by: all that bears on it, however it is said, and nothing else."""

import jobs
import pytest

import tiny
from pocketbert.distill import distillation
from pocketbert.distill.distillation import distill
from pocketbert.distill.learning import TASK_LOSSES
from pocketbert.errors import PocketBertError
from pocketbert.recipe import Data, DistillStage, Losses, Student

SHORT = {"steps": 2, "batch_size": 4, "precision": "fp32"}


@pytest.fixture
def teach(tmp_path):
    """Distil into the same folder with other options."""
    teacher = str(tiny.make_checkpoint(tmp_path / "teacher", head="SequenceClassification"))
    data = Data(task="classification", train=[str(tiny.write_reviews(tmp_path / "train.csv", 40))], max_length=32)

    def call(**options):
        stage = DistillStage(**SHORT, **options)
        return distill(stage, teacher, Student(), tmp_path / "student", data, console=jobs.QUIET)

    return call


def test_another_default_makes_another_student(teach, monkeypatch):
    first = teach()
    monkeypatch.setattr(distillation, "TASK_LOSSES", Losses(soft_targets=1.0))
    with pytest.raises(PocketBertError, match="made from other inputs or options"):
        teach()
    assert teach(losses=TASK_LOSSES).key == first.key


def test_a_baseline_beside_it_makes_no_other_student(teach):
    assert teach(without_teacher=False).created == teach(without_teacher=True).created


@pytest.mark.parametrize(
    ("plain", "spelt"),
    [
        ({}, {"layer_map": "uniform", "temperature": 2.0}),
        ({"method": "minilmv2"}, {"method": "minilmv2", "layer_map": "top"}),
        ({"layer_map": "last"}, {"layer_map": "last", "contrastive_temperature": 0.05}),
    ],
)
def test_a_default_that_is_spelt_out_makes_no_other_student(teach, plain, spelt):
    assert teach(**plain).created == teach(**spelt).created


@pytest.mark.parametrize("other", [{"layer_map": "last"}, {"relation_heads": 2}, {"contrastive_temperature": 0.1}])
def test_a_field_of_the_losses_makes_another_student(teach, other):
    teach()
    with pytest.raises(PocketBertError, match="made from other inputs or options"):
        teach(**other)
