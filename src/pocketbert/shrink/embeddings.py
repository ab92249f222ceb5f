"""Fewer rows, and a smaller width, for the word embeddings of a model and for all that belongs to them."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.errors import ModelError

PROJECTIONS = {"albert": "encoder.embedding_hidden_mapping_in.", "electra": "embeddings_project."}
"""The families whose embeddings have a width of their own, and the layer that widens them."""


def cut_rows(model: PreTrainedModel, numbers: Mapping[int, int]) -> PreTrainedModel:
    """The same model for some of its pieces only.

    Args:
        model: any family, any head.
        numbers: old id to new id of the pieces that stay, in ascending order of both.

    Returns:
        A model whose tables (word embeddings; weights and bias of a masked-LM head) have the rows of these pieces.
    """
    config = copy.deepcopy(model.config)
    config.vocab_size = len(numbers)
    for name, number in config.to_dict().items():
        if name.endswith("_token_id") and isinstance(number, int):
            setattr(config, name, numbers.get(number))
    rows = torch.tensor(list(numbers))
    size = model.get_input_embeddings().weight.shape[0]

    def cut(tensor: Tensor, shape: torch.Size) -> Tensor:
        # (vocabulary, …) → (kept, …)
        return tensor[rows] if tensor.shape != shape and tensor.shape[0] == size else tensor

    smaller = type(model)(config)
    shapes = {name: tensor.shape for name, tensor in smaller.state_dict().items()}
    return _filled(smaller, {name: cut(tensor, shapes[name]) for name, tensor in model.state_dict().items()}, model)


def check_width(model: PreTrainedModel, width: int, source: str) -> None:
    """Refuse to factorise embeddings where the architecture has no room for it.

    Args:
        model: whose embeddings.
        width: they are to have.
        source: the model's directory, for the message.

    Raises:
        ModelError: the family has no width of its own for embeddings, they are as narrow already, stock code would
            leave out the projection, or a masked-LM head is built on the width.
    """
    config = model.config
    if config.model_type not in PROJECTIONS:
        raise ModelError(
            f"{source}: trim: embedding_size: a {config.model_type} model has embeddings as wide as its layers; only "
            f"these families can have narrower ones: {', '.join(sorted(PROJECTIONS))}; leave embedding_size out"
        )
    if width >= config.embedding_size:
        raise ModelError(f"{source}: trim: embedding_size {width} is not below the model's own {config.embedding_size}")
    if config.model_type == "electra" and width == config.hidden_size:
        raise ModelError(
            f"{source}: trim: embedding_size {width} is the width of its layers: stock code then has no projection "
            "between the two, which this needs; take another"
        )
    if model.get_output_embeddings() is not None:
        raise ModelError(
            f"{source}: trim: embedding_size: its masked-LM head has layers of the same width, which would have to be "
            "learnt anew; finetune the model on a task first, or leave embedding_size out"
        )


def factorise(model: PreTrainedModel, width: int, counts: NDArray[np.int64]) -> tuple[PreTrainedModel, float]:
    """Narrow the embeddings of ALBERT or ELECTRA, by a projection that the next layer takes back.

    The sum of a token's embeddings is centred and scaled by a layer norm, then widened by a linear layer. Centred
    sums lie, for the most part, in a space of few dimensions; in another basis of it the layer norm does the same as
    before, as long as the new basis is orthogonal to the vector of ones, and the linear layer turns it back. With an
    embedding of rank ``width - 1`` or less nothing changes.

    Args:
        model: see :func:`check_width`.
        width: of the embeddings of the new model.
        counts: (vocabulary,) how often each piece occurs, for the directions to keep are those of frequent pieces.

    Returns:
        The model, and the share of the embeddings' variance over the counted text that is kept.
    """
    own = "" if model.base_model is model else f"{model.base_model_prefix}."
    old = {name: tensor.double() for name, tensor in model.state_dict().items()}
    names = [f"{own}embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    tables = [old[name] - old[name].mean(dim=1, keepdim=True) for name in names]  # the layer norm's own centring
    wide = model.config.embedding_size
    basis, kept = _basis(tables, torch.from_numpy(counts + 1.0), width - 1)
    # (wide, width): rows of the new tables sum up to 0, so that the layer norm's centring does nothing to them, and
    # have the variance of the old ones, so that its epsilon counts for as much.
    turn = basis @ _orthogonal_to_ones(width).T * (width / wide) ** 0.5
    new = {name: table @ turn for name, table in zip(names, tables, strict=True)}
    new |= _turned_back(old, f"{own}embeddings.LayerNorm.", own + PROJECTIONS[model.config.model_type], turn)
    config = copy.deepcopy(model.config)
    config.embedding_size = width
    return _filled(type(model)(config), {**old, **new}, model), kept


def _turned_back(old: Mapping[str, Tensor], norm: str, projection: str, turn: Tensor) -> dict[str, Tensor]:
    """The layer norm and the linear layer behind narrowed embeddings.

    Args:
        old: all weights of the model.
        norm: prefix of the layer norm's.
        projection: prefix of the linear layer's.
        turn: (wide, width) what the embeddings were multiplied by.
    """
    wide, width = turn.shape
    # ELECTRA has no linear layer where its embeddings are as wide as the others.
    weight = old.get(f"{projection}weight", torch.eye(wide, dtype=torch.float64))
    bias = old.get(f"{projection}bias", torch.zeros(wide, dtype=torch.float64))
    return {
        f"{norm}weight": torch.ones(width),
        f"{norm}bias": torch.zeros(width),
        f"{projection}weight": weight * old[f"{norm}weight"] @ turn * (wide / width),  # (hidden, width)
        f"{projection}bias": bias + weight @ old[f"{norm}bias"],
    }


def _basis(tables: Sequence[Tensor], weights: Tensor, dimensions: int) -> tuple[Tensor, float]:
    """The directions in which sums of a row of each table vary most, and their share of all variance.

    Args:
        tables: (rows, wide) words, positions, token types.
        weights: (words,) how often each word occurs; rows of other tables are taken to be equally frequent.
        dimensions: how many directions.
    """
    words, *others = tables
    shares = [weights / weights.sum(), *(torch.full((len(table),), 1 / len(table)).double() for table in others)]
    mean = torch.zeros_like(words[0])
    moment = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for table, share in zip(tables, shares, strict=True):
        centre = share @ table
        mean += centre
        moment += (table - centre).T @ ((table - centre) * share[:, None])
    values, directions = torch.linalg.eigh(moment + torch.outer(mean, mean))
    # Eigenvalues come in ascending order.
    return directions[:, -dimensions:], float(values[-dimensions:].sum() / values.sum())


def _orthogonal_to_ones(width: int) -> Tensor:
    """(width, width - 1): orthonormal columns, each of which sums up to 0."""
    ones = torch.ones(width, 1, dtype=torch.float64)
    complete: Tensor = torch.linalg.qr(torch.cat([ones, torch.eye(width, dtype=torch.float64)[:, 1:]], dim=1))[0]
    return complete[:, 1:]


def _filled(model: PreTrainedModel, weights: Mapping[str, Any], like: PreTrainedModel) -> PreTrainedModel:
    """A new model with these weights, in the precision of another and ready to answer."""
    model.load_state_dict(dict(weights))
    model.tie_weights()
    return model.to(like.dtype).eval()
