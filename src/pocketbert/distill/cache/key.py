"""What a cache was made from, in named parts, so that what does not match can be told by its name."""

import hashlib
import json
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.data.corpus import read_index
from pocketbert.distill.datasets import EncodedRows, MaskedBlocks
from pocketbert.files import hash_text
from pocketbert.models.projection import MODEL_INPUTS

Key = dict[str, str]
"""By the name of each part what it is, or its hash."""
VOLATILE = {"_name_or_path", "transformers_version", "dtype", "architectures"}
"""Parts of a configuration that change nothing about what the model says."""


def make_key(teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, data: MaskedBlocks | EncodedRows) -> Key:
    """All that decides what the teacher says.

    Args:
        teacher: as it was loaded, in its own number type.
        tokenizer: a fast one.
        data: what it speaks about.
    """
    key = {"tokenizer": _hash_tokenizer(tokenizer), "teacher": _hash_model(teacher)}
    if isinstance(data, EncodedRows):
        return key | {"data": _hash_rows(data)}
    corpus = read_index(data.corpus.folder)["key"]
    masks = data.masking.model_dump_json(exclude={"seed"})
    return key | {
        "data": hash_text(corpus, str(data.block), str(data.samples)),
        "mask seed": str(data.seed),
        "masking": masks,
    }


def differing(own: Key, theirs: Key) -> list[str]:
    """The names of the parts that differ."""
    names = [name for name in own if own[name] != theirs.get(name)]
    # Text read by another tokenizer is other data by that alone.
    return [name for name in names if name != "data"] if "tokenizer" in names else names


def _hash_tokenizer(tokenizer: Any) -> str:
    # Padding and truncation are set by whoever used it last.
    tree = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    return hash_text(json.dumps(tree, sort_keys=True))


def _hash_model(model: PreTrainedModel) -> str:
    config = {name: value for name, value in model.config.to_diff_dict().items() if name not in VOLATILE}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, weights in sorted(model.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        # Viewed as bytes, for numpy knows no bf16.
        digest.update(weights.detach().cpu().contiguous().flatten().view(dtype=torch.uint8).numpy().data)
    return digest.hexdigest()


def _hash_rows(rows: EncodedRows) -> str:
    digest = hashlib.sha256()
    for feature in rows.encoded.features:
        for name in MODEL_INPUTS:
            digest.update(np.asarray(feature.get(name, ()), dtype=np.int64).tobytes() + b"\x1f")
    return digest.hexdigest()
