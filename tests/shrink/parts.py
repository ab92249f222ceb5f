"""Models with parts that are known to do nothing, so that taking them out may change nothing."""

import torch
from torch import Tensor

import tiny
from pocketbert.shrink.anatomy import Anatomy
from pocketbert.shrink.importance import Importance

HEADS = ("SequenceClassification", "TokenClassification", "QuestionAnswering")


def make(family, head="SequenceClassification", layers=3, seed=0, **fields):
    """A tiny model and its anatomy; wide enough that half its width is not the width of its embeddings."""
    model = tiny.make_model(family, head, tiny.make_tokenizer(family), seed, layers=layers, width=64, **fields)
    return model, Anatomy(model, family)


def inputs():
    """Two texts of unequal length."""
    ids = torch.tensor([[2, 9, 11, 30, 7, 3], [2, 14, 3, 0, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@torch.inference_mode()
def logits(model) -> Tensor:
    """What the model answers to :func:`inputs`."""
    answer = model(**inputs())
    mask = inputs()["attention_mask"]
    if "start_logits" in answer:
        return torch.stack([answer.start_logits, answer.end_logits], dim=-1)[mask.bool()]
    return answer.logits[mask.bool()] if answer.logits.ndim == 3 else answer.logits


def random_importance(anatomy: Anatomy, seed=0) -> Importance:
    """Importance that has nothing to do with the model."""
    random_ = torch.Generator().manual_seed(seed)
    shape, blocks = anatomy.shape, len(anatomy.blocks)
    sizes = {
        "layers": (shape.layers,),
        "heads": (blocks, shape.heads),
        "neurons": (blocks, shape.feed_forward),
        "hidden": (shape.hidden,),
        "pooled": (shape.hidden if anatomy.has_pooled else 0,),
    }
    return Importance(**{name: torch.rand(size, generator=random_) for name, size in sizes.items()})


@torch.no_grad()
def silence_neurons(model, anatomy: Anatomy, importance: Importance, left: int) -> None:
    """Make the neurons that would go give zero, which is what GELU makes of zero."""
    groups = anatomy.neuron_groups
    for number, block in enumerate(anatomy.blocks):
        scores = importance.neurons[number].reshape(groups, -1)
        dropped = scores.argsort(dim=1)[:, : scores.shape[1] - left // groups]
        rows = (dropped + torch.arange(groups)[:, None] * scores.shape[1]).flatten()
        widen = model.get_submodule(f"{block}.{anatomy.parts.widen}")
        widen.weight[rows] = 0
        widen.bias[rows] = 0


@torch.no_grad()
def silence_layer(model, anatomy: Anatomy, number: int) -> None:
    """Make a layer give what it gets, which is normalised already."""
    before, block = anatomy.blocks[number - 1 : number + 1]
    parts = anatomy.parts
    for part in (parts.merge, parts.narrow):
        module = model.get_submodule(f"{block}.{part}")
        module.weight.zero_()
        module.bias.zero_()
    for norm in (f"{before}.{parts.end}", f"{block}.{parts.middle}", f"{block}.{parts.end}"):
        model.get_submodule(norm).weight.fill_(1)
        model.get_submodule(norm).bias.zero_()


@torch.no_grad()
def silence_width(model, kept: Tensor, dropped: Tensor, heads: Tensor) -> None:
    """Let nobody read half of the dimensions, which are copies of the others, so that LayerNorm sees the same.

    Args:
        model: of any family but SqueezeBERT; written out by the names of its weights.
        kept: (width / 2,) dimensions that are read.
        dropped: (width / 2,) their copies.
        heads: (heads left,) those that give something.
    """
    width = len(kept) + len(dropped)
    size = width // model.config.num_attention_heads
    silent = torch.ones(width, dtype=torch.bool)
    silent[(heads[:, None] * size + torch.arange(size)).flatten()] = False
    for name, weight in model.named_parameters():
        module = name.rsplit(".", 1)[0]
        reader = any(word in module for word in ("query", "key", "value", "q_lin", "k_lin", "v_lin", "intermediate"))
        reader |= module.endswith((".ffn", ".ffn.lin1", "pooler", "pooler.dense", "qa_outputs", "classifier.dense"))
        reader |= module == "pre_classifier"
        merges = module.endswith(("attention.output.dense", "attention.dense", "attention.out_lin"))
        if module in ("classifier", "classifier.out_proj"):
            # Reads dimensions, or what a layer of its own made of them: either way half of it is left out.
            if weight.ndim == 2:
                weight[:, dropped] = 0
        elif reader:
            if weight.ndim == 2:
                weight[:, dropped] = 0
            if "value" in module or "v_lin" in module:
                weight[silent] = 0
        elif merges and weight.ndim == 2:
            weight[dropped] = weight[kept]
        elif "_embeddings" in module and weight.shape[1] == width:
            weight[:, dropped] = weight[:, kept]
        elif weight.shape[0] == width:
            weight[dropped] = weight[kept]
