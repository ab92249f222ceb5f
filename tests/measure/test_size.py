import pytest
import torch
from safetensors.torch import save_file

from pocketbert.errors import ModelError
from pocketbert.measure.size import measure_size


def test_size_counts_weights_and_bytes(tmp_path):
    weights = {"words": torch.zeros(10, 4), "bias": torch.zeros(7, dtype=torch.float16)}
    save_file(weights, tmp_path / "model.safetensors")
    size = measure_size(str(tmp_path))
    assert size.parameters == 47
    assert size.bytes == (tmp_path / "model.safetensors").stat().st_size


def test_size_adds_up_shards(tmp_path):
    for number in (1, 2):
        save_file({f"part{number}": torch.zeros(3)}, tmp_path / f"model-0000{number}-of-00002.safetensors")
    assert measure_size(str(tmp_path)).parameters == 6


def test_size_counts_tied_weights_once(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = BertForMaskedLM(config)
    model.save_pretrained(tmp_path)
    assert measure_size(str(tmp_path)).parameters == sum(weight.numel() for weight in set(model.parameters()))


def test_a_directory_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        measure_size(str(tmp_path))


@pytest.mark.parametrize("file", ["onnx/model.onnx", "openvino/openvino_model.xml"])
def test_an_exported_file_has_the_weights_of_its_directory_and_its_own_bytes(exported, file):
    size = measure_size(str(exported / file))
    assert size.parameters == measure_size(str(exported)).parameters
    path = exported / file
    others = [path.with_suffix(".bin")] if path.suffix == ".xml" else []
    assert size.bytes == sum(len(each.read_bytes()) for each in (path, *others))


def test_weights_beside_an_onnx_file_count(tmp_path):
    save_file({"words": torch.zeros(3)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    folder = tmp_path / "onnx"
    folder.mkdir()
    for name, length in (("model.onnx", 5), ("model.onnx.data", 70), ("model.onnx_data", 900), ("model_int8.onnx", 1)):
        (folder / name).write_bytes(b"x" * length)
    assert measure_size(str(folder / "model.onnx")).bytes == 975


def test_an_exported_file_outside_a_model_directory_is_refused(tmp_path):
    path = tmp_path / "onnx" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match=r"model\.onnx: lies in no model directory \(.* has no config\.json\)"):
        measure_size(str(path))
