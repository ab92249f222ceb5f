"""What a search may vary, what is suggested, and which stages it bears on."""

import pytest

import searches
import tiny
from pocketbert.errors import PocketBertError
from pocketbert.pipeline.sampling import suggest
from pocketbert.pipeline.space import marks, read_space
from pocketbert.pipeline.trials import Trial
from pocketbert.recipe import Recipe, parse_section
from searches import LAYERS, RATE, SPACE, search


@pytest.fixture
def tree(tmp_path):
    return searches.make_tree(tmp_path)


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("stages.1.distill.learning_rat", {"low": 1, "high": 2}, r"stages\.1\.distill\.learning_rat: there is no such"),
        ("stages.7.distill.epochs", {"low": 1, "high": 2}, r"tune\.space\.stages\.7\.distill\.epochs: .*at '7'"),
        (RATE, {"low": 0, "high": 1}, r"learning_rate: Input should be greater than 0"),
        (RATE, {"choices": [1e-4, -1]}, r"learning_rate: Input should be greater than 0"),
        (LAYERS, {"low": 1.5, "high": 3}, r"student\.layers: Input should be a valid integer"),
        (LAYERS, {"low": 1, "high": 3, "step": 0.5}, "takes whole numbers, but the step is 0.5"),
        ("data.on_error", {"low": 0, "high": 1}, r"data\.on_error: Input should be 'fail' or 'skip'"),
        ("stages.1.distill.without_teacher", {"low": 0, "high": 1}, "takes no numbers; name its values as choices"),
        ("gates.kept", {"low": 0.5, "high": 0.9}, r"tune\.space\.gates\.kept: bears not on the score"),
        ("data.limit", {"low": 20, "high": 50}, r"tune\.space\.data\.limit: scores on other rows cannot be compared"),
        ("stages.2.trim.changed", {"low": 0.1, "high": 0.2}, r"comes after the last stage that trains \(stages\.1\)"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_searched_are_refused_by_name(tree, tmp_path, path, values, message):
    tree["stages"].append({"trim": {}})
    tree["tune"]["space"] = {path: values}
    with pytest.raises(PocketBertError, match=message):
        search(tree)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 2, "high": 1}, r"low \(2\) is above high \(1\)"),
        ({"low": 1}, "name low and high, or choices"),
        ({}, "name low and high, or choices"),
        ({"low": 1, "high": 2, "choices": [1]}, "name low and high, or choices"),
        ({"low": 0, "high": 2, "log": True}, "log needs numbers above 0, but low is 0"),
        ({"low": 1, "high": 2, "log": True, "step": 1}, "name one of log and step"),
        ({"choices": [1, 2], "log": True}, "log and step are of numbers"),
        ({"choices": []}, "at least 1 item"),
    ],
)
def test_ranges_that_are_none_are_refused_by_name(tree, values, message):
    tree["tune"]["space"] = {RATE: values}
    with pytest.raises(PocketBertError, match=rf"tune\.space\.{RATE}.*: .*{message}"):
        parse_section(Recipe, tree, "recipe.yaml")


def test_a_recipe_without_a_search_is_refused(tree):
    del tree["tune"]
    with pytest.raises(PocketBertError, match="names no fields to search; add a section tune"):
        search(tree)


def test_text_that_scores_are_made_of_is_not_searched(tree, tmp_path):
    text = str(tiny.write_text(tmp_path / "text.txt", 60))
    tree["stages"] = [{"distill": {"corpus": text}}]
    tree["tune"]["space"] = {"stages.0.distill.block": {"low": 16, "high": 32}}
    with pytest.raises(PocketBertError, match="scores on other text, or of other tokens, cannot be compared"):
        search(tree)


@pytest.mark.parametrize("path", ["stages.1.distill", "stages.1", "data", "student", "stages.1.distill.data"])
def test_a_whole_section_is_refused_by_name(tree, path):
    data = tree["data"]
    tree["stages"][1]["distill"]["data"] = data
    value = {"stages.1": {"distill": {}}, "data": data, "stages.1.distill.data": data}.get(path, {})
    tree["tune"]["space"] = {path: {"choices": [value]}}
    with pytest.raises(PocketBertError, match=rf"tune\.space\.{path}: is a whole section"):
        search(tree)


@pytest.mark.parametrize("values", [{"choices": [0, 1]}, {"low": 0, "high": 1}])
def test_a_layer_of_a_map_is_searched(tree, values):
    tree["stages"][1]["distill"]["layer_map"] = [[0, 0]]
    tree["tune"] = {"trials": 1, "space": {"stages.1.distill.layer_map.0.1": values}}
    (trial,) = search(tree).trials
    (layer,) = trial.values.values()
    assert trial.state == "finished" and layer in (0, 1) and type(layer) is int


def test_a_layer_between_two_is_refused(tree):
    tree["stages"][1]["distill"]["layer_map"] = [[0, 0]]
    tree["tune"]["space"] = {"stages.1.distill.layer_map.0.1": {"low": 0, "high": 1.5}}
    with pytest.raises(PocketBertError, match=r"layer_map: .* is none of uniform, last, top"):
        search(tree)


def test_what_a_tokenizer_is_made_of_is_not_searched_before_text(tree, tmp_path):
    text = str(tiny.write_text(tmp_path / "text.txt", 60))
    del tree["teacher"], tree["data"]
    tree["stages"] = [{"pretrain": {"corpus": text}}, {"distill": {"corpus": text, "losses": {"masked_lm": 1}}}]
    for field, choices in {"vocabulary": [200, 300], "lowercase": [True, False]}.items():
        tree["tune"]["space"] = {f"stages.0.pretrain.{field}": {"choices": choices}}
        with pytest.raises(PocketBertError, match="scores on other text, or of other tokens, cannot be compared"):
            search(tree)
    tree["tune"]["space"] = {"stages.1.distill.seed": {"low": 0, "high": 3}}
    with pytest.raises(PocketBertError, match=r"hides other tokens .*; set masking\.seed"):
        search(tree)
    tree["stages"][1]["distill"]["masking"] = {"seed": 0}
    assert read_space(Recipe.model_validate(tree), Recipe.model_validate(tree).tune.space)


def test_what_would_leave_every_trial_without_a_score_is_told_before(tree, tmp_path):
    text = str(tiny.write_text(tmp_path / "text.txt", 60))
    tree["stages"] = [{"distill": {"corpus": text, "method": "minilmv2"}}]
    tree["tune"]["space"] = {"stages.0.distill.learning_rate": {"low": 1e-4, "high": 1e-2}}
    with pytest.raises(PocketBertError, match=r"stages\.0\.distill teaches no answers .*; add a stage on the rows"):
        search(tree)
    tree["stages"] = [{"distill": {}}]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("text,pair,label\n" + "the cat,a dog,1.5\nan owl,the owl,4.5\n" * 5)
    tree["data"] = {"task": "embedding", "train": text, "test": str(pairs), "max_length": 32}
    with pytest.raises(PocketBertError, match=r"name scored pairs in data\.validation"):
        search(tree)
    assert not (tmp_path / "run").exists()


def test_suggestions_follow_from_seed_and_trials_alone(tree):
    recipe = Recipe.model_validate(tree)
    axes = read_space(recipe, recipe.tune.space)
    trials = []
    for number in range(1, 30):
        values = suggest(axes, 5, trials)
        assert values == suggest(axes, 5, trials)
        assert 1e-4 <= values[RATE] <= 1e-2 and values[LAYERS] in (1, 2) and type(values[LAYERS]) is int
        # The higher the rate the better, one layer fails.
        score = values[RATE] if values[LAYERS] == 2 else None
        trials.append(Trial(number=number, values=values, state="finished" if score else "failed", score=score))
    assert suggest(axes, 6, []) != suggest(axes, 5, [])
    late = trials[15:]
    assert sum(trial.values[LAYERS] == 2 for trial in late) > len(late) * 0.6
    assert sum(trial.values[RATE] > 1e-3 for trial in late) > len(late) * 0.6


def test_folders_are_shared_by_what_bears_on_them(tree):
    tree["tune"]["space"] = {"stages.0.finetune.epochs": {"choices": [1, 2]}, LAYERS: SPACE[LAYERS]}
    tree["stages"][0]["finetune"].pop("steps")
    recipe = Recipe.model_validate(tree)
    axes = read_space(recipe, recipe.tune.space)
    one = marks(axes, {"stages.0.finetune.epochs": 1, LAYERS: 1}, 2)
    other = marks(axes, {"stages.0.finetune.epochs": 1, LAYERS: 2}, 2)
    assert one[1] == other[1] and one[2] != other[2]
