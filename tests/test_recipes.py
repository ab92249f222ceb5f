"""Every recipe that comes with PocketBERT can be read, says what it needs, and is started by the command it names."""

import re
import shlex
from pathlib import Path

import pytest

from pocketbert.data.glue import LAYOUTS
from pocketbert.recipe import DistillStage, FinetuneStage, Losses, Recipe, load_recipe
from pocketbert.tasks.registry import make_task

FOLDER = Path(__file__).resolve().parents[1] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
TASKS = [*LAYOUTS, "squad1", "squad2", "ner"]


def header_of(path: Path) -> dict[str, str]:
    """The lines ``# key   value`` of a recipe's header; lines that only continue a command are joined to it."""
    text = path.read_text(encoding="utf-8")
    comments = [line.removeprefix("#") for line in text.partition("\n\n")[0].splitlines() if line.startswith("#")]
    lines = "\n".join(comments).replace("\\\n", " ").splitlines()
    found = (re.fullmatch(r" (needs|takes|run) {3,}(\S.*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def command_of(path: Path) -> list[str]:
    """The command of a recipe's header, without the remark behind it."""
    return shlex.split(header_of(path)["run"].partition("  (")[0])


def test_the_folder_holds_the_recipes_that_are_promised():
    names = {path.stem for path in RECIPES}
    assert names >= {"demo", "task", "teacher", "pairs", "distilbert-pretraining", *TASKS}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
class TestEveryRecipe:
    def test_is_read(self, path):
        assert load_recipe(path).name == path.stem

    def test_says_what_it_needs_and_how_long_it_takes(self, path):
        assert set(header_of(path)) == {"needs", "takes", "run"}

    def test_is_started_by_the_command_it_names(self, path):
        command = command_of(path)
        start = next(place for place, word in enumerate(command) if word in ("run", "tune"))
        assert command[:start] == ["pocketbert"] or command[:start][-2:] == ["-m", "pocketbert.cli"]
        assert command[start + 1] == f"recipes/{path.name}"
        load_recipe(path, command[start + 2 :])

    def test_names_a_model_before_it_is_needed(self, path):
        recipe = load_recipe(path, [word for word in command_of(path) if word.startswith("teacher.")])
        assert recipe.teacher is not None or recipe.stages[0].kind == "pretrain"

    def test_holds_no_line_that_is_hard_to_read(self, path):
        assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120

    def test_names_data_that_its_task_takes(self, path):
        data = load_recipe(path).data
        if data is not None:
            assert make_task(data).name == data.task


@pytest.mark.parametrize("name", TASKS)
def test_a_public_task_lets_a_bare_model_learn_before_it_teaches(name):
    recipe = load_recipe(FOLDER / f"{name}.yaml")
    assert [type(stage.options) for stage in recipe.stages] == [FinetuneStage, DistillStage]
    assert recipe.gates.kept == 0.97


@pytest.mark.parametrize("name", TASKS)
def test_a_public_task_reports_no_row_that_it_selects_on(name):
    data = load_recipe(FOLDER / f"{name}.yaml").data
    assert data is not None
    assert data.test
    assert not set(data.test) & {*(data.train or []), *(data.validation or [])}


def distilbert() -> tuple[Recipe, DistillStage]:
    """The recipe of the paper and its only stage."""
    recipe = load_recipe(FOLDER / "distilbert-pretraining.yaml")
    (stage,) = recipe.stages
    assert isinstance(stage.options, DistillStage)
    return recipe, stage.options


def test_distilbert_is_taught_by_the_objective_of_the_paper():
    _, options = distilbert()
    assert options.losses == Losses(soft_targets=5, masked_lm=2, cosine=1)
    assert (options.temperature, options.soft_targets, options.block) == (2, "all", 512)
    masking = options.masking
    assert (masking.rate, masking.mask, masking.random, masking.smoothing) == (0.15, 0.8, 0.1, 0.7)


def test_distilbert_is_optimised_as_in_the_paper():
    _, options = distilbert()
    assert (options.learning_rate, options.beta1, options.beta2, options.epsilon) == (5e-4, 0.9, 0.98, 1e-6)
    assert (options.weight_decay, options.warmup_ratio, options.clip, options.epochs) == (0, 0.05, 5, 3)
    assert options.batch_size * options.accumulation * 8 == 2000


def test_distilbert_has_six_layers_from_the_teacher():
    recipe, _ = distilbert()
    assert (recipe.student.architecture, recipe.student.layers, recipe.student.init) == ("distilbert", 6, "distilbert")
