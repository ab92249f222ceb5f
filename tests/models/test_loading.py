"""Reading model directories: what is loaded, and what is refused with which reason."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, BertModel

import tiny
from pocketbert.errors import ModelError
from pocketbert.models.loading import check_length, load_as_saved, load_model, load_tokenizer, max_positions

HEADS = ("MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering")


@pytest.fixture
def bert(tmp_path):
    return tiny.make_checkpoint(tmp_path / "bert")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_loads_with_every_head(tmp_path, family, head):
    folder = tiny.make_checkpoint(tmp_path / "model", family, head)
    loaded = load_model(str(folder), head)
    assert not [name for name in loaded.new if ".pooler." not in name]
    assert not loaded.model.training and loaded.model.dtype == torch.float32
    assert loaded.tokenizer.is_fast and loaded.source == str(folder)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_weights_are_those_of_the_checkpoint(tmp_path, family):
    folder = tiny.make_checkpoint(tmp_path / "model", family, "MaskedLM", seed=5)
    expected = tiny.make_model(family, "MaskedLM", tiny.make_tokenizer(family), seed=5).state_dict()
    found = load_model(str(folder), "MaskedLM").model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_half_precision_weights_become_fp32(tmp_path, bert):
    AutoModel.from_pretrained(bert, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    shutil.copytree(bert, tmp_path / "whole")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert / name, tmp_path / "half")
    loaded = load_model(str(tmp_path / "half"), "SequenceClassification", need_head=False)
    assert loaded.model.dtype == torch.float32


@pytest.mark.parametrize("head", HEADS)
def test_a_model_is_loaded_as_it_was_saved(tmp_path, head):
    folder = tiny.make_checkpoint(tmp_path / "model", "bert", head)
    saved = tiny.make_model("bert", head, tiny.make_tokenizer("bert")).bfloat16()
    saved.save_pretrained(folder)
    loaded = load_as_saved(str(folder)).model
    assert type(loaded) is type(saved) and loaded.dtype == torch.bfloat16 and not loaded.training
    assert all(torch.equal(value, saved.state_dict()[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize(("architectures", "message"), [(None, "names no architecture"), (["MyBert"], "names MyBert")])
def test_a_model_that_does_not_say_what_it_is_cannot_be_loaded_as_saved(bert, architectures, message):
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"architectures": architectures}))
    with pytest.raises(ModelError, match=f"config.json {message}.*save_pretrained"):
        load_as_saved(str(bert))


def test_a_model_without_some_of_its_weights_cannot_be_loaded_as_saved(bert):
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"architectures": ["BertForTokenClassification"]}))
    with pytest.raises(ModelError, match=r"lacks weights of its BertForTokenClassification: classifier\.bias"):
        load_as_saved(str(bert))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_teacher_without_masked_lm_head_is_refused(tmp_path, family):
    folder = tiny.make_checkpoint(tmp_path / "model", family, "SequenceClassification")
    with pytest.raises(ModelError, match=r"has no MaskedLM head .*use a checkpoint saved with its masked-LM head"):
        load_model(str(folder), "MaskedLM")


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_teacher_without_task_head_is_refused(tmp_path, family):
    folder = tiny.make_checkpoint(tmp_path / "model", family, "MaskedLM")
    with pytest.raises(ModelError, match=r"has no SequenceClassification head .*finetune it on the task first"):
        load_model(str(folder), "SequenceClassification")


@pytest.mark.parametrize("need_head", [True, False])
@pytest.mark.parametrize("head", ["MaskedLM", "SequenceClassification", ""])
def test_an_encoder_with_a_hole_is_refused_with_or_without_a_head(bert, head, need_head):
    weights = load_file(bert / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, bert / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"whole encoder \(missing: (bert\.)?encoder\.layer\.1\.output\.dense\.w.*fetch it"
    ):
        load_model(str(bert), head, need_head=need_head)


def test_a_new_head_is_named_when_none_is_needed(bert):
    fields = {"num_labels": 3, "id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    loaded = load_model(str(bert), "SequenceClassification", fields, need_head=False)
    assert {"classifier.weight", "classifier.bias"} <= set(loaded.new)
    assert loaded.model.config.num_labels == 3 and loaded.model.config.id2label[2] == "c"


def test_a_head_for_other_labels_is_made_anew(tmp_path):
    folder = tiny.make_checkpoint(tmp_path / "model", "bert", "SequenceClassification")
    fields = {"num_labels": 3, "id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    loaded = load_model(str(folder), "SequenceClassification", fields, need_head=False)
    assert "classifier.weight" in loaded.new and "bert.pooler.dense.weight" not in loaded.new
    assert loaded.model.classifier.weight.shape == (3, 32)


def test_a_bare_encoder_needs_a_head(tmp_path):
    tokenizer = tiny.make_tokenizer("bert")
    BertModel(tiny.make_config("bert", tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no MaskedLM head"):
        load_model(str(tmp_path), "MaskedLM")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "model.ckpt"])
def test_pickled_weights_are_refused(bert, name):
    (bert / "model.safetensors").unlink()
    (bert / name).write_bytes(b"\x80\x04}.")
    with pytest.raises(ModelError, match=rf"only pickles \({name}\), which can run code when read; save it with"):
        load_model(str(bert), "MaskedLM")


def test_a_directory_without_weights_is_refused(bert):
    (bert / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        load_model(str(bert), "MaskedLM")


def test_remote_code_is_refused(bert):
    path = bert / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(ModelError, match=r"remote code \(auto_map in config.json\), which PocketBERT never runs"):
        load_model(str(bert), "MaskedLM")


@pytest.mark.parametrize("name", ["./nowhere", "nowhere/deep/down", "/nowhere"])
def test_a_missing_directory_is_refused_without_asking_the_hub(name):
    with pytest.raises(ModelError, match="no such model directory"):
        load_model(name, "MaskedLM")


def test_a_hub_model_that_cannot_be_had_is_named():
    with pytest.raises(
        ModelError, match="nobody/nothing: no model directory of this name here, and the hub did not give"
    ):
        load_model("nobody/nothing", "MaskedLM")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path), "MaskedLM")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_files_are_refused(bert, name):
    (bert / name).write_bytes((bert / name).read_bytes()[:50])
    with pytest.raises(ModelError, match=str(bert)):
        load_model(str(bert), "MaskedLM")


def test_a_tokenizer_with_more_ids_than_embeddings_is_refused(tmp_path):
    tokenizer = tiny.make_tokenizer("bert")
    tiny.make_model("bert", "MaskedLM", tokenizer).save_pretrained(tmp_path)
    tokenizer.add_tokens(["brandnew"])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="75 ids but the model 74 embeddings"):
        load_model(str(tmp_path), "MaskedLM")


def test_a_directory_without_tokenizer_is_refused(tmp_path):
    tiny.make_model("bert", "MaskedLM", tiny.make_tokenizer("bert")).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="tokenizer"):
        load_model(str(tmp_path), "MaskedLM")


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_positions_are_what_the_model_takes(tmp_path, family):
    loaded = load_model(str(tiny.make_checkpoint(tmp_path, family)), "MaskedLM")
    assert max_positions(loaded.model.config) == tiny.POSITIONS
    longest = torch.full((1, tiny.POSITIONS), 5)
    loaded.model(input_ids=longest)
    with pytest.raises((IndexError, RuntimeError)):
        loaded.model(input_ids=torch.full((1, tiny.POSITIONS + 1), 5))
    check_length(loaded.model, tiny.POSITIONS, "model")
    with pytest.raises(ModelError, match=f"at most {tiny.POSITIONS} tokens, but {tiny.POSITIONS + 1} are asked for"):
        check_length(loaded.model, tiny.POSITIONS + 1, "model")


@pytest.mark.parametrize("kind", ["mpnet", "xlm-roberta", "longformer"])
def test_positions_that_start_behind_the_padding_are_counted_so(kind):
    config = AutoConfig.for_model(kind, max_position_embeddings=50, pad_token_id=1)
    assert max_positions(config) == 48


def test_a_tokenizer_without_padding_is_refused(bert):
    path = bert / "tokenizer_config.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(fields | {"pad_token": None, "tokenizer_class": "PreTrainedTokenizerFast"}))
    with pytest.raises(ModelError, match="has no padding token"):
        load_tokenizer(str(bert))


def test_a_tokenizer_takes_options(bert):
    assert load_tokenizer(str(bert), model_input_names=["input_ids"]).model_input_names == ["input_ids"]


def test_a_folder_without_a_tokenizer_is_refused_in_a_whole_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"its tokenizer cannot be loaded: there is no tokenizer\.json in it$"):
        load_tokenizer(str(tmp_path))
