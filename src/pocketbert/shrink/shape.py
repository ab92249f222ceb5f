"""The sizes that the shares of a prune stage come to."""

from pocketbert.errors import ModelError
from pocketbert.measure.results import Shape
from pocketbert.recipe import PruneStage
from pocketbert.shrink.anatomy import Anatomy


def settle_shape(options: PruneStage, anatomy: Anatomy) -> Shape:
    """The sizes that the shares of a stage come to.

    Layers are rounded to a whole number, the hidden width to whole heads, feed-forward neurons to a multiple of
    ``anatomy.unit`` (eight, for the kernels).

    Raises:
        ModelError: stock code could not load such a model, or nothing would be taken out.
    """
    whole = anatomy.shape
    shape = Shape(
        layers=_rounded(options.layers, whole.layers, 1),
        heads=(heads := _settle_heads(options, anatomy)),
        feed_forward=_rounded(options.feed_forward, whole.feed_forward, anatomy.unit),
        hidden=heads * anatomy.head_size,
    )
    if shape == whole:
        raise ModelError(
            f"{anatomy.source}: nothing would be taken out of {whole}: layers go one by one, feed-forward neurons in "
            f"multiples of {anatomy.unit}, the hidden width in heads of {anatomy.head_size}; name smaller shares"
        )
    return shape


def _settle_heads(options: PruneStage, anatomy: Anatomy) -> int:
    whole = anatomy.shape
    if options.hidden is None:
        if options.heads is not None:
            raise ModelError(
                f"{anatomy.source}: heads cannot go alone: in stock {anatomy.config.model_type} code the hidden width "
                f"is the number of heads times their size ({whole.heads} × {anatomy.head_size}); name hidden: "
                f"{options.heads:g}, and heads and width go together"
            )
        return whole.heads
    heads = _rounded(options.hidden, whole.heads, 1)
    possible = anatomy.possible_heads()
    if heads not in possible:
        widths = ", ".join(str(each * anatomy.head_size) for each in possible)
        raise ModelError(
            f"{anatomy.source}: a {anatomy.config.model_type} of this make cannot be {heads * anatomy.head_size} wide; "
            f"its width can be {widths}; layers and feed_forward can be pruned as well"
        )
    if options.heads is not None and _rounded(options.heads, whole.heads, 1) != heads:
        raise ModelError(
            f"{anatomy.source}: heads and hidden width go together, {anatomy.head_size} dimensions a head; hidden: "
            f"{options.hidden:g} leaves {heads} of {whole.heads} heads: leave out heads, or name the same share"
        )
    return heads


def _rounded(share: float | None, whole: int, unit: int) -> int:
    """A share of a size in whole units, at least one; a size that stays need not be a multiple."""
    if share is None or share == 1:
        return whole
    return min(whole, max(1, round(share * whole / unit)) * unit)
