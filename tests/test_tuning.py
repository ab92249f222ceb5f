"""A search over fields of a recipe: what it refuses, what it shares, what it never reads, and how it goes on."""

import json
import signal
import subprocess
import sys
import time

import pytest
import yaml
from filelock import FileLock

import searches
import tiny
from pocketbert import pipeline
from pocketbert.errors import Interrupted, PocketBertError
from pocketbert.pipeline import tuning
from pocketbert.pipeline.trials import Trial, Tuning
from pocketbert.recipe import Recipe, load_recipe, parse_section
from searches import HEADS, LAYERS, QUIET, RATE, SPACE, search


@pytest.fixture
def tree(tmp_path):
    return searches.make_tree(tmp_path)


def told(tuning: Tuning):
    """What a search found, but for its times."""
    return [trial.model_dump(exclude={"seconds"}) for trial in tuning.trials], tuning.best


def first_trial(tmp_path):
    return tmp_path / "run" / "search" / "trials" / "0001.json"


def folders(tmp_path):
    return sorted(path.name for path in (tmp_path / "run" / "search" / "stages").iterdir() if path.is_dir())


def test_a_search_finds_the_best_and_makes_shared_stages_once(tree, tmp_path):
    found = search(tree)
    assert [trial.number for trial in found.trials] == [1, 2, 3]
    assert all(trial.state == "finished" and trial.seconds > 0 for trial in found.trials)
    best = found.trials[found.best - 1]
    assert best.score == max(trial.score for trial in found.trials)
    names = folders(tmp_path)
    assert names[0] == "01-finetune" and len(names) == 4 and all("02-distill-" in name for name in names[1:])
    # Nothing is proved on the way: no comparison, no baseline.
    assert not list((tmp_path / "run").rglob("*comparison*"))
    recipe = load_recipe(tmp_path / "run" / "search" / "best.yaml")
    assert recipe.tune is None and recipe.data == Recipe.model_validate(tree).data
    assert recipe.stages[1].options.learning_rate == best.values[RATE]
    assert recipe.student.layers == best.values[LAYERS]
    assert Tuning.model_validate_json((tmp_path / "run" / "search" / "tune.json").read_bytes()) == found
    # Again, and with more trials: nothing is made anew.
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("manifest.json")}
    tree["tune"]["trials"] = 4
    assert told(search(tree))[0][:3] == told(found)[0]
    assert all(path.stat().st_mtime_ns == then for path, then in made.items()) and len(folders(tmp_path)) == 5


def test_the_score_is_that_of_the_stage_alone(tree, tmp_path):
    """Trained by hand with the values of a trial, a student ends with its score and its weights."""
    tree["tune"]["trials"] = 1
    (trial,) = search(tree).trials
    tree["stages"][1]["distill"]["learning_rate"] = trial.values[RATE]
    tree["student"] = {"layers": trial.values[LAYERS]}
    recipe = parse_section(Recipe, tree, "tree")
    stages = tmp_path / "run" / "search" / "stages"
    made = pipeline.distill(
        recipe.stages[1].options, str(stages / "01-finetune"), recipe.student, tmp_path / "hand", recipe.data,
        console=QUIET,
    )  # fmt: skip
    assert made.metrics["best_score"] == trial.score
    (own,) = stages.glob("02-*")
    assert (own / "model.safetensors").read_bytes() == (tmp_path / "hand" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("reported", ["test", "validation"])
def test_reported_rows_are_not_even_opened(tree, tmp_path, reported):
    if reported == "validation":  # reported where no test rows are named
        del tree["data"]["test"]
    tree["tune"]["trials"] = 1
    found = search(tree)
    assert found.trials[0].score is not None
    (tmp_path / f"{reported}.csv").unlink()
    tree["output"] = str(tmp_path / "again")
    assert told(search(tree)) == told(found)


def test_a_trial_that_cannot_be_is_recorded_and_the_search_goes_on(tree, tmp_path, cli):
    tree["tune"] = {"trials": 4, "seed": 1, "space": {HEADS: {"choices": [3, 4]}}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    called = cli("tune", recipe, "--json", tmp_path / "found.json")
    assert called.code == 0, called.err
    trials = json.loads((tmp_path / "found.json").read_text())["trials"]
    states = {trial["values"][HEADS]: trial["state"] for trial in trials}
    assert states == {3: "failed", 4: "finished"} and "Traceback" not in called.err
    assert "failed: " in called.out and "trial 1 of 4" in called.err and "left" in called.err
    assert f"pocketbert run {tmp_path / 'run' / 'search' / 'best.yaml'}" in called.out
    # Equal values, whose stages have been made, take no time.
    assert len(folders(tmp_path)) == 2


def test_a_search_in_which_every_trial_fails_ends_with_two(tree):
    tree["tune"] = {"trials": 2, "space": {HEADS: {"choices": [3, 5]}}}
    with pytest.raises(PocketBertError, match=r"every trial failed; the last said: .*heads"):
        search(tree)


def test_no_trial_begins_after_the_budget(tree, monkeypatch):
    tree["tune"]["budget"] = 1000
    seconds = iter([0.0, 10.0, 999.0, 1001.0])
    monkeypatch.setattr(tuning, "_spent", lambda _search: next(seconds))
    monkeypatch.setattr(tuning, "_left", lambda _search: "")
    tree["tune"]["trials"] = 9
    assert len(search(tree).trials) == 3


def test_another_search_in_the_same_folder_is_refused(tree):
    tree["tune"]["trials"] = 1
    search(tree)
    tree["tune"]["space"] = {LAYERS: SPACE[LAYERS]}
    with pytest.raises(PocketBertError, match="holds a search of another space, recipe or data; delete it"):
        search(tree)


SAVED = "work/checkpoint-*"
"""What a stage that has been begun keeps in its folder."""


def test_killed_twice_a_search_ends_as_if_it_had_not_been(tree, tmp_path, cli):
    """Through the command line: in the shared stage, and in the second trial."""
    for stage in tree["stages"]:
        next(iter(stage.values())).update(steps=40, save_steps=2)
    whole = tmp_path / "whole.yaml"
    whole.write_text(yaml.safe_dump(tree | {"output": str(tmp_path / "whole")}))
    assert cli("tune", whole).code == 0
    killed = tmp_path / "killed.yaml"
    killed.write_text(yaml.safe_dump(tree))
    stages = tmp_path / "run" / "search" / "stages"
    kill_at(killed, lambda: any((stages / "01-finetune").glob(SAVED)))
    second = tmp_path / "run" / "search" / "trials" / "0002.json"
    kill_at(killed, lambda: second.is_file() and any(any(made.glob(SAVED)) for made in stages.glob("02-*")))
    called = cli("tune", killed)
    assert called.code == 0 and "going on from checkpoint-" in called.err, called.err
    one, other = (
        Tuning.model_validate_json((tmp_path / name / "search" / "tune.json").read_bytes()) for name in ("whole", "run")
    )
    assert told(one) == told(other)
    weights = {path.parent.name: path.read_bytes() for path in (tmp_path / "whole").rglob("model.safetensors")}
    assert weights == {path.parent.name: path.read_bytes() for path in (tmp_path / "run").rglob("model.safetensors")}


def test_a_search_that_is_asked_to_stop_says_so_and_keeps_its_time(tree, tmp_path, monkeypatch):
    walk = tuning._walk

    def stop(search, recipe, own, stages):
        if own:
            time.sleep(0.2)
            raise Interrupted("stopped by SIGTERM")
        return walk(search, recipe, own, stages)

    monkeypatch.setattr(tuning, "_walk", stop)
    for stopped in (1, 2):  # the second goes on with the same trial
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            search(tree)
        trial = Trial.model_validate_json(first_trial(tmp_path).read_bytes())
        assert trial.state == "running" and trial.score is None
        assert 0.2 * stopped <= trial.seconds < 10


@pytest.mark.parametrize("state", ["running", "finished"])
def test_what_was_spent_before_counts_when_a_search_goes_on(tree, tmp_path, state):
    tree["tune"]["trials"] = 1
    (trial,) = search(tree).trials
    update = {"state": state, "seconds": 1000.0} | ({"score": None} if state == "running" else {})
    first_trial(tmp_path).write_text(trial.model_copy(update=update).model_dump_json())
    tree["tune"] |= {"trials": 9, "budget": 1000}
    (again,) = search(tree).trials
    assert again.score == trial.score and again.seconds >= 1000


def test_without_optuna_there_is_a_hint(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(PocketBertError, match=r"optuna is not installed; pip install 'pocketbert\[tune\]'"):
        search(tree)


def kill_at(recipe, reached):
    """Search until something is there, and then kill without a warning."""
    process = subprocess.Popen(
        tiny.command("tune", recipe), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not reached():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.parametrize(("section", "field"), [("teacher", "model"), ("student", "start")])
def test_a_model_that_is_not_there_ends_the_search_before_any_trial(tree, tmp_path, section, field):
    tree[section] = {field: "./no-such-model"}
    tree["tune"]["space"] = {RATE: SPACE[RATE]}
    with pytest.raises(PocketBertError, match=r"\./no-such-model: no such model directory"):
        search(tree)
    assert not (tmp_path / "run").exists()


def test_two_processes_do_not_search_in_one_folder(tree, tmp_path):
    folder = tmp_path / "run" / "search"
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"), pytest.raises(PocketBertError, match="another process is searching here"):
        search(tree)


def test_another_start_of_the_student_is_another_search(tree, tmp_path):
    start = tiny.make_checkpoint(tmp_path / "start", layers=1)
    tree["student"] = {"start": str(start)}
    tree["tune"] = {"trials": 1, "space": {RATE: SPACE[RATE]}}
    search(tree)
    tiny.make_checkpoint(start, layers=1, seed=5)
    with pytest.raises(PocketBertError, match="holds a search of another space, recipe or data"):
        search(tree)
