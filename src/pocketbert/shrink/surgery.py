"""Taking parts out for real: a smaller model of stock code, with the weights of the parts that stay."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pocketbert.measure.results import Shape
from pocketbert.models.families import Axis
from pocketbert.shrink.anatomy import Anatomy
from pocketbert.shrink.importance import Importance


@dataclass(frozen=True)
class Picks:
    """Which parts stay, as rising indices.

    Attributes:
        layers: (layers left,).
        heads: (blocks left, heads left), each layer's own.
        neurons: (blocks left, neurons left), each layer's own.
        hidden: (width left,), the same at all depths: the layers add to one stream.
        pooled: (width left,) of the layer before the answer; empty where there is none.
    """

    layers: Tensor
    heads: Tensor
    neurons: Tensor
    hidden: Tensor
    pooled: Tensor

    @property
    def shape(self) -> Shape:
        """The sizes of what stays."""
        return Shape(
            layers=len(self.layers),
            heads=self.heads.shape[1],
            feed_forward=self.neurons.shape[1],
            hidden=len(self.hidden),
        )


def choose_parts(importance: Importance, anatomy: Anatomy, shape: Shape) -> Picks:
    """The most important parts that a shape has room for.

    Of layers that share their weights the first passes stay: they see what they saw before.
    """
    layers = torch.arange(shape.layers) if anatomy.shared else _best(importance.layers, shape.layers)
    blocks = torch.zeros(1, dtype=torch.long) if anatomy.shared else layers
    groups = anatomy.neuron_groups
    neurons = importance.neurons[blocks].reshape(len(blocks), groups, -1)
    first = torch.arange(groups)[:, None] * neurons.shape[2]
    return Picks(
        layers=layers,
        heads=_best(importance.heads[blocks], shape.heads),
        neurons=(_best(neurons, shape.feed_forward // groups) + first).flatten(1),
        hidden=_best(importance.hidden, shape.hidden),
        pooled=_best(importance.pooled, shape.hidden),
    )


def importance_kept(importance: Importance, anatomy: Anatomy, picks: Picks) -> float:
    """Share of the importance that stays: the product of the shares of layers, heads, neurons and dimensions."""
    blocks = torch.zeros(1, dtype=torch.long) if anatomy.shared else picks.layers
    pairs = [
        (importance.layers, importance.layers[picks.layers]),
        (importance.heads[blocks], importance.heads[blocks].gather(1, picks.heads)),
        (importance.neurons[blocks], importance.neurons[blocks].gather(1, picks.neurons)),
        (importance.hidden, importance.hidden[picks.hidden]),
    ]
    shares = [float(left.sum() / whole.sum()) if whole.sum() else 1.0 for whole, left in pairs]
    return shares[0] * shares[1] * shares[2] * shares[3]


def cut_model(model: PreTrainedModel, anatomy: Anatomy, picks: Picks) -> PreTrainedModel:
    """A new model of the same class, of the parts that stay.

    Args:
        model: the whole one; left as it is.
        anatomy: of the model.
        picks: which parts stay.

    Returns:
        In fp32, on the CPU, in evaluation mode; its configuration has the new sizes.
    """
    shape = picks.shape
    small = type(model)(anatomy.configure(shape))
    whole = {name: weight.detach().cpu() for name, weight in model.named_parameters()}
    weights = {}
    for name in anatomy.weights(shape):
        block = anatomy.block_of(name) or 0
        origin = name
        if not anatomy.shared and anatomy.block_of(name) is not None:
            origin = name.replace(anatomy.blocks[block], anatomy.blocks[int(picks.layers[block])], 1)
        weights[name] = _cut(whole[origin], anatomy, anatomy.axes_of(name), _indices(anatomy, picks, block))
    small.load_state_dict(weights)
    return small.eval()


def _indices(anatomy: Anatomy, picks: Picks, block: int) -> dict[Axis, Tensor]:
    """What stays along each axis that gets shorter."""
    size, shape = anatomy.head_size, picks.shape
    indices: dict[Axis, Tensor] = {}
    if shape.feed_forward < anatomy.shape.feed_forward:
        indices["feed_forward"] = picks.neurons[block]
    if shape.hidden < anatomy.shape.hidden:
        heads = (picks.heads[block][:, None] * size + torch.arange(size)).flatten()
        indices |= {"heads": heads, "hidden": picks.hidden, "pooled": picks.pooled}
    return indices


def _cut(weight: Tensor, anatomy: Anatomy, axes: tuple[Axis, ...], indices: dict[Axis, Tensor]) -> Tensor:
    for dimension, axis in enumerate(axes[: weight.ndim]):
        if axis not in indices:
            continue
        groups = anatomy.length(axis, anatomy.shape) // weight.shape[dimension]
        if groups == 1:
            weight = weight.index_select(dimension, indices[axis])
        else:
            weight = _cut_groups(weight, indices[axis], groups)
    return weight


def _cut_groups(weight: Tensor, index: Tensor, groups: int) -> Tensor:
    """Take inputs out of a grouped convolution, from each group as many.

    Args:
        weight: (outputs, inputs of a group, 1).
        index: (inputs left,) counted over all groups, rising.
        groups: how many.
    """
    inputs = weight.shape[1]
    own = index.reshape(groups, -1) - torch.arange(groups)[:, None] * inputs
    outputs = weight.reshape(groups, -1, inputs, 1)
    return torch.cat([rows.index_select(1, columns) for rows, columns in zip(outputs, own, strict=True)])


def _best(scores: Tensor, count: int) -> Tensor:
    """Indices of the greatest scores along the last dimension, rising; of equal ones the first."""
    return scores.argsort(dim=-1, descending=True, stable=True)[..., :count].sort(dim=-1).values
