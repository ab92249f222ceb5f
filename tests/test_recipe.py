"""Recipes: what they accept, and how they say what they do not."""

import pytest
from pydantic import ValidationError

from pocketbert.errors import PocketBertError
from pocketbert.recipe import (
    Augment,
    Data,
    DistillStage,
    ExportStage,
    FinetuneStage,
    Gates,
    Masking,
    Recipe,
    Student,
    Training,
    load_recipe,
    parse_section,
)

RECIPE = """
name: reviews
teacher: {model: ./bert}
student: {layers: 3}
data: {task: classification, train: train.csv, metric: accuracy}
stages:
  - distill: {losses: {soft_targets: 5.0}, budget: 20m}
  - distill: {epochs: 2}
gates: {kept: 0.97}
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    return file


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"data": {"task": "classification", "labels": ["a", "b", "a"]}}, "data: labels: 'a' stands there twice"),
        ({"student": {"start": "general", "layers": 2, "init": "first"}}, "student: a student that starts from general "
         "has its shape; leave out layers, init"),
        ({"data": {"task": "multi_label", "label_separator": ""}}, "data.label_separator: String should have at least"),
        ({"student": {"init": "foo"}}, "student.init: 'foo' is none of the values it can have"),
        ({"stages": [{"distill": {"seed": 2**32}}]}, "stages.0.distill.seed: Input should be less than 4294967296"),
        ({"gates": {"kept": 97}}, "gates.kept: Input should be less than 2"),
        ({"studnet": {}}, "studnet: there is no such field"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_told_once_and_in_plain_words(tree, message):
    with pytest.raises(PocketBertError) as caught:
        parse_section(Recipe, {"name": "x", "stages": [{"distill": {}}]} | tree, "x.yaml")
    head, *lines = str(caught.value).splitlines()
    assert head == "x.yaml: 1 wrong field(s)"
    assert len(lines) == 1
    assert lines[0].startswith(f"  {message}")


def test_a_recipe_as_resolved_can_be_read_again():
    recipe = parse_section(Recipe, {"name": "x", "student": {"start": "general"}, "stages": [{"distill": {}}]}, "x")
    assert (
        parse_section(
            Recipe, recipe.model_dump(exclude_none=True, exclude={"stages"}) | {"stages": [{"distill": {}}]}, "x"
        )
        == recipe
    )


def test_a_recipe_is_read(path):
    recipe = load_recipe(path)
    assert recipe.data.train == ["train.csv"] and recipe.data.metric == ["accuracy"]
    assert [stage.kind for stage in recipe.stages] == ["distill", "distill"]
    assert recipe.stages[0].options.budget == 1200 and recipe.stages[0].options.losses.soft_targets == 5
    assert recipe.stages[1].options.epochs == 2 and recipe.gates.kept == 0.97


def test_a_stage_may_be_its_name_alone(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: x\nstages:\n  - finetune:\n")
    assert load_recipe(tmp_path / "recipe.yaml").stages[0].options == FinetuneStage()


@pytest.mark.parametrize("written", ["finetune:", "finetune: {}"])
def test_an_override_reaches_into_a_stage_that_is_its_name_alone(tmp_path, written):
    (tmp_path / "recipe.yaml").write_text(f"name: x\ngates:\nstages:\n  - {written}\n")
    recipe = load_recipe(tmp_path / "recipe.yaml", ["stages.0.finetune.epochs=2", "gates.kept=0.9"])
    assert recipe.stages[0].options.epochs == 2 and recipe.gates.kept == 0.9


def test_overrides_are_yaml_values(path):
    recipe = load_recipe(
        path,
        [
            "stages.0.distill.losses.cosine=0.5",
            "data.train=[a.csv, b.csv]",
            "gates.smaller=0.4",
            "student.init=[0, 2]",
            "stages.1.distill.epochs=null",
            "output=runs/x=y",
        ],
    )
    assert recipe.stages[0].options.losses.cosine == 0.5 and recipe.stages[0].options.losses.soft_targets == 5
    assert recipe.data.train == ["a.csv", "b.csv"] and recipe.gates.smaller == 0.4 and recipe.student.init == [0, 2]
    assert recipe.stages[1].options.epochs is None and recipe.output == "runs/x=y"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.train", "write key.path=value"),
        ("=3", "write key.path=value"),
        ("data..train=3", "write key.path=value"),
        ("stages.9.distill.epochs=1", "the recipe has nothing at '9'"),
        ("stages.2=1", "the recipe has nothing at '2'"),
        ("stages.²=1", "the recipe has nothing at '²'"),
        ("name.first=x", "the recipe has nothing at 'first'"),
        ("data.train=[a", "not a YAML value"),
        ("data.colour=red", r"data\.colour: there is no such field"),
        ("stages.0.distill.epochs=1", "name one of epochs, steps and budget"),
    ],
)
def test_wrong_overrides_are_named(path, override, message):
    with pytest.raises(PocketBertError, match=message):
        load_recipe(path, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "not valid YAML"),
        (RECIPE + "name: other\n", r"recipe\.yaml line 10: 'name' stands there twice, first in line 2; leave one"),
        (RECIPE.replace("layers: 3", "layers: 3, 'layers': 4"), r"line 4: 'layers' stands there twice"),
        (RECIPE.replace("{epochs: 2}", "\n      epochs: 2\n      epochs: 3"), "line 10: 'epochs' stands there twice"),
        ("- a", "a recipe is a mapping"),
        ("", "a recipe is a mapping"),
        ("name: x", "stages: Field required"),
        ("name: x\nstages: []", "stages: List should have at least 1 item"),
        ("name: a b\nstages: [{finetune: {}}]", "name: String should match"),
        ("name: x\nstages: [{finetune: {}, distill: {}}]", "exactly one key"),
        ("name: x\nstages: [{}]", "exactly one key"),
        ("name: x\nstages: [{pretrain: }]", r"stages\.0\.pretrain\.corpus: Field required"),
        ("name: x\nstages: [{bake: {}}]", r"stages\.0\.bake: there is no such field"),
        ("name: x\nstages: [{finetune: {epoch: 3}}]", r"stages\.0\.finetune\.epoch: there is no such field"),
        ("name: x\nstages: [{finetune: {budget: soon}}]", r"budget: .*'soon' is not a duration; write 90s, 20m"),
        ("name: x\nstages: [{pretrain: {corpus: a.txt, masking: {mask: 0.9, random: 0.2}}}]", "at most 1"),
    ],
)
def test_wrong_recipes_are_named_with_their_field(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(PocketBertError, match=message) as error:
        load_recipe(path)
    assert str(error.value).startswith(str(path))


def test_a_key_that_comes_with_another_mapping_too_is_not_taken_for_a_repeat(path):
    """Whichever of the mappings is read first."""
    path.write_text("""
name: reviews
stages:
  - distill: {masking: &masks {rate: 0.2}, corpus: a.txt}
  - distill: &lesson {masking: {<<: *masks, rate: 0.3}, corpus: a.txt}
  - distill: {<<: *lesson, masking: {<<: *masks, mask: 0.9}}
""")
    rates = [(stage.distill.masking.rate, stage.distill.masking.mask) for stage in load_recipe(path).stages]
    assert rates == [(0.2, 0.8), (0.3, 0.8), (0.2, 0.9)]


def test_all_wrong_fields_come_at_once(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nteacher: {}\nstages: [{finetune: {batch_size: 0, seed: -1}}]")
    with pytest.raises(PocketBertError, match=r"3 wrong field\(s\)\n.*teacher.model.*\n.*batch_size.*\n.*seed"):
        load_recipe(path)


def test_broken_utf8_is_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(PocketBertError, match="not valid YAML"):
        load_recipe(path)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(PocketBertError, match=r"nothing\.yaml: no such recipe"):
        load_recipe(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("2d", 172_800), (" 7 ", 7), (3, 3), (0.5, 0.5)]
)
def test_durations(text, seconds):
    assert Training(budget=text).budget == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "5 weeks", "0s", 0])
def test_what_is_no_duration(text):
    with pytest.raises(ValidationError):
        Training(budget=text)


@pytest.mark.parametrize("pair", [("epochs", "steps"), ("epochs", "budget"), ("steps", "budget")])
def test_a_run_has_one_length(pair):
    with pytest.raises(ValidationError, match="name one of epochs, steps and budget"):
        Training(**dict.fromkeys(pair, 5))


def test_the_papers_masks_are_the_usual_ones():
    masking = Masking()
    assert (masking.rate, masking.mask, masking.random) == (0.15, 0.8, 0.1)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (Student, {"layers": 0}),
        (Data, {"task": "translation"}),
        (Data, {"task": "classification", "max_length": 4}),
        (Gates, {"smaller": 1.0}),
        (Recipe, {"name": "../x", "stages": [{"finetune": {}}]}),
    ],
)
def test_values_out_of_range_are_refused(section, values):
    with pytest.raises(PocketBertError, match="here: 1 wrong field"):
        parse_section(section, values, "here")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"corpus": "text.txt", "data": {"task": "classification"}}, "name the rows of a task .* or text .*, not both"),
        ({"text_column": "review"}, "text_column is of a corpus; the columns of rows are named in data"),
        ({"held_out": "more.txt"}, "held_out is of a corpus; rows to choose by are named in data.validation"),
        ({"block": 64}, "block is of a corpus; data.max_length"),
        ({"masking": {"rate": 0.2}}, "masking is of a corpus; rows are read as they are"),
        ({"soft_targets": "all"}, "soft_targets is of a corpus; .* losses.soft_targets"),
    ],
)
def test_a_lesson_is_of_rows_or_of_text(stage, message):
    with pytest.raises(ValueError, match=message):
        DistillStage.model_validate(stage)


def test_an_export_for_the_browser_names_its_packages():
    options = {"formats": ["onnx", "browser"]}
    with pytest.raises(PocketBertError, match=r"needs packages \(--packages\), a folder node_modules"):
        parse_section(ExportStage, options, "recipe.yaml")
    assert ExportStage(**options, packages="./node_modules").packages == "./node_modules"


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"replace": 0.2}, "augment: replace needs a model"),
        ({"delete": 0}, "augment: nothing is altered"),
        ({"delete": 0, "model": "bert", "replace": 0}, "augment: nothing is altered"),
        ({"model": "bert", "replace": 0.6}, "less than or equal to 0.5"),
    ],
)
def test_augmentation_alters_something_by_what_it_has(augment, message):
    with pytest.raises(PocketBertError, match=message):
        parse_section(DistillStage, {"augment": augment}, "x.yaml")


def test_words_are_replaced_where_a_model_is_named():
    assert Augment().replaced == 0 and Augment(model="bert").replaced == 0.2
    assert Augment(model="bert", replace=0.4).replaced == 0.4
    assert Augment(delete=0, model="bert").replaced == 0.2


def test_text_is_not_augmented():
    with pytest.raises(PocketBertError, match="augment alters the rows of a task"):
        parse_section(DistillStage, {"corpus": "text.txt", "augment": {}}, "x.yaml")
