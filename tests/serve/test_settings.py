"""Options, keys and names of models."""

from typing import get_args

import pytest

from pocketbert.engines.choice import ENGINES
from pocketbert.errors import PocketBertError
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


def test_models_are_named_by_their_directory_or_as_is_asked(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "with=sign").mkdir()
    given = [str(tmp_path / "one"), f"other={tmp_path / 'one'}", str(tmp_path / "with=sign")]
    assert list(parse_models(given)) == ["one", "other", "with=sign"]
    with pytest.raises(PocketBertError, match="two models are named one"):
        parse_models([given[0], given[0]])
    with pytest.raises(PocketBertError, match="no such model directory"):
        parse_models(["x=nowhere"])
