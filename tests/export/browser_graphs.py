"""ONNX graphs small enough to write by hand, and the same sums in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

TOKENS = ("token_classification", "question_answering", "masked_lm")


class Graph:
    """Adds up a row for each token, a row for its type, and gives what the task asks for.

    Args:
        task: the task's name in recipes.
        vocabulary: ids of the tokenizer.
        width: logits, or numbers of an embedding.
        types: whether the model reads token types.
        shift: added to every weight, to make another file of nearly the same answers.
    """

    def __init__(self, task: str, vocabulary: int, width: int, types: bool, shift: float = 0.0) -> None:
        random = np.random.default_rng(3)
        self.task = task
        self.rows = (random.normal(size=(vocabulary, width)) + shift).astype(np.float32)
        self.types = random.normal(size=(2, width)).astype(np.float32) if types else None

    def run(self, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """The outputs for one text."""
        hidden = self.rows[np.asarray(inputs["input_ids"])]
        if self.types is not None:
            hidden = hidden + self.types[np.asarray(inputs["token_type_ids"])]
        if self.task == "question_answering":
            return {"start_logits": hidden[None, :, 0], "end_logits": hidden[None, :, 1]}
        if self.task in TOKENS:
            return {"logits": hidden[None]}
        name = "sentence_embedding" if self.task == "embedding" else "logits"
        return {name: hidden.mean(axis=0)[None]}

    def write(self, path: Path) -> Path:
        """The same as an ONNX file."""
        onnx = pytest.importorskip("onnx", reason="the graphs of this test are ONNX files")
        helper, numpy_helper = onnx.helper, onnx.numpy_helper
        names = ["input_ids", "attention_mask", *(["token_type_ids"] if self.types is not None else [])]
        weights = {"rows": self.rows} | ({"types": self.types} if self.types is not None else {})
        nodes = [helper.make_node("Gather", ["rows", "input_ids"], ["of_ids"])]
        if self.types is None:
            nodes.append(helper.make_node("Identity", ["of_ids"], ["hidden"]))
        else:
            nodes.append(helper.make_node("Gather", ["types", "token_type_ids"], ["of_types"]))
            nodes.append(helper.make_node("Add", ["of_ids", "of_types"], ["hidden"]))
        outputs = self._head(helper, nodes, weights)
        graph = helper.make_graph(
            nodes,
            "sum",
            [helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", "tokens"]) for name in names],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        opset = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
        return path

    def _head(self, helper: Any, nodes: list[Any], weights: dict[str, np.ndarray]) -> list[str]:
        if self.task == "question_answering":
            for column, name in enumerate(("start_logits", "end_logits")):
                weights[f"column_{column}"] = np.array(column)
                nodes.append(helper.make_node("Gather", ["hidden", f"column_{column}"], [name], axis=2))
            return ["start_logits", "end_logits"]
        if self.task in TOKENS:
            nodes.append(helper.make_node("Identity", ["hidden"], ["logits"]))
            return ["logits"]
        name = "sentence_embedding" if self.task == "embedding" else "logits"
        weights["axes"] = np.array([1])
        nodes.append(helper.make_node("ReduceMean", ["hidden", "axes"], [name], keepdims=0))
        return [name]
