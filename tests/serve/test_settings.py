"""Options, keys and names of models."""

from typing import get_args

import pytest

from pocketbert.engines.choice import ENGINES
from pocketbert.errors import PocketBertError
from pocketbert.recipe import parse_section
from pocketbert.serve.settings import KEYS, Settings, parse_models


def test_keys_come_from_flags_and_environment(monkeypatch):
    monkeypatch.setenv(KEYS, " two,,three ")
    assert Settings(api_key=["one"]).keys == [b"one", b"two", b"three"]
    monkeypatch.delenv(KEYS)
    assert Settings().keys == []


def test_engines_are_those_that_there_are():
    # Named anew, for the command line shows its flags where no engine is installed.
    assert get_args(Settings.model_fields["engine"].annotation) == ("auto", *ENGINES)


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (64, 32)])
def test_streams_share_the_threads(threads, streams):
    assert Settings(threads=threads).granted_streams == streams
    assert Settings(threads=threads, streams=1).granted_streams == 1


@pytest.mark.parametrize("given", [{"threads": 4, "streams": 5}, {"streams": 1_000_000_000}, {"streams": 1025}])
def test_a_stream_has_a_thread(given):
    words = rf"threads \d+, streams {given['streams']}: from one stream to one for each thread"
    with pytest.raises(PocketBertError, match=words):
        parse_section(Settings, given, "command line")


def test_threads_are_no_more_than_a_machine_can_have():
    assert Settings(threads=1024, streams=1024).granted_streams == 1024
    with pytest.raises(PocketBertError, match=r"threads: .* 1024"):
        parse_section(Settings, {"threads": 100_000}, "command line")


def test_models_are_named_by_their_directory_or_as_is_asked(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "with=sign").mkdir()
    given = [str(tmp_path / "one"), f"other={tmp_path / 'one'}", str(tmp_path / "with=sign")]
    assert list(parse_models(given)) == ["one", "other", "with=sign"]
    with pytest.raises(PocketBertError, match="two models are named one"):
        parse_models([given[0], given[0]])
    with pytest.raises(PocketBertError, match="no such model directory"):
        parse_models(["x=nowhere"])


SANE = ["05-export", "reviews v1.2", "Отзывы", "ré_sumé", "re\u0301sume\u0301", "समीक्षा", "评论", "base@3+de"]


@pytest.mark.parametrize("name", SANE)
def test_names_have_letters_of_any_script(tmp_path, name):
    (tmp_path / name).mkdir()
    assert list(parse_models([str(tmp_path / name), f"_{name}={tmp_path}"])) == [name, f"_{name}"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "-",
        "{x:foo}",
        "a/b",
        "a%2fb",
        "a?b",
        "a#b",
        "a\\b",
        "a\nb",
        "a\x00b",
        "a\u2028b",
        " a",
        "b\udcff",
    ],
)
def test_names_that_no_address_can_hold_are_refused(tmp_path, name):
    with pytest.raises(PocketBertError, match=r"cannot be the name of a model.*NAME=") as refused:
        parse_models([f"{name}={tmp_path}"])
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["{x}", "50%", "bad\udcff"])
def test_a_directory_whose_name_is_refused_is_served_under_another(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(PocketBertError, match=r"cannot be the name of a model.*NAME=.*") as refused:
        parse_models([str(tmp_path / name)])
    assert str(refused.value).isprintable()
    assert parse_models([f"fine={tmp_path / name}"]) == {"fine": tmp_path / name}


@pytest.mark.parametrize("given", ["\udcff", "fine=\udcff"])
def test_a_directory_that_is_not_there_is_told_in_characters_that_can_be_printed(given):
    with pytest.raises(PocketBertError, match="no such model directory") as refused:
        parse_models([given])
    assert str(refused.value).isprintable()
