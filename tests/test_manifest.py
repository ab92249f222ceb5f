"""Manifests: written, read again, and refused when they are none."""

import json

import pytest

from pocketbert.errors import ModelError
from pocketbert.manifest import Manifest, Parent, hash_options, hash_weights, read_manifest, write_manifest
from pocketbert.recipe import FinetuneStage, Masking

MANIFEST = Manifest(
    stage="distill",
    key="k",
    parents=[Parent(role="teacher", source="./bert", weights="abc")],
    options={"epochs": 3.0},
    metrics={"best_score": 0.9},
    notes=["guessed columns: text='review'"],
)


def test_a_manifest_survives_writing(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST
    fields = json.loads((tmp_path / "manifest.json").read_text())
    assert fields["machine"]["cores"] > 0 and fields["version"] and fields["created"].endswith("+00:00")


def test_a_folder_without_one_has_none(tmp_path):
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": 3}'])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.json: not a manifest: .*; restore it, or make the folder anew"):
        read_manifest(tmp_path)


def test_weights_are_hashed_with_their_configuration_and_tokenizer(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    first = hash_weights(str(tmp_path))
    (tmp_path / "README.md").write_text("a note")
    assert hash_weights(str(tmp_path)) == first
    (tmp_path / "config.json").write_text('{"labels": 2}')
    second = hash_weights(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    third = hash_weights(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    assert len({first, second, third, hash_weights(str(tmp_path))}) == 4


def test_a_hub_model_counts_by_name():
    assert hash_weights("bert-base-uncased") == "hub:bert-base-uncased"


def test_options_of_the_same_values_are_the_same():
    assert hash_options(FinetuneStage(epochs=3, seed=1)) == hash_options(FinetuneStage(seed=1, epochs=3.0))
    assert hash_options(Masking()) != hash_options(Masking(rate=0.2))


def test_how_often_a_run_saves_is_no_part_of_what_it_makes():
    assert hash_options(FinetuneStage(save_every="10s")) == hash_options(FinetuneStage(save_steps=3))
