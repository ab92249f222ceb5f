"""A BERT from nothing: random weights, except that its first layer already looks at a token's neighbours."""

import math

import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerBase

STANDARD = (0.02, 768)
"""The deviation of BERT's first weights, and the width that it is meant for."""
NEIGHBOURS = (-1, 1, -2, 2, -3, 3)
"""Where the heads of the first layer look, the first head first; further heads stay random."""
WAVES = (2.2, 0.05)
"""Fastest and slowest wave of the positions, radians a token. The fastest tells a token from the next, the slowest
comes round after 125 tokens, so that a neighbour cannot be mistaken for one far away."""
POSITION_AMPLITUDE = 2.5
"""Amplitude of the waves, in deviations of the word embeddings that they are added to."""
SHARPNESS = 4.3
"""Of the neighbours' heads, for heads of one dimension: the neighbour then leads those beside it by 3 to 4 logits."""

RANDOM_SHARE = 0.3
"""How much of their random weights the neighbours' heads keep, so that they also see what a token is."""


def build_bert(
    tokenizer: PreTrainedTokenizerBase,
    layers: int,
    hidden_size: int,
    heads: int,
    feed_forward: int | None,
    positions: int,
    seed: int,
) -> BertForMaskedLM:
    """A BERT with a masked-LM head that has not learnt anything.

    A hidden token can only be guessed from its neighbours, and a small BERT takes millions of tokens to find out where
    those are: its loss stands still meanwhile. So its positions start as waves (Vaswani et al. 2017, section 3.5) and
    the heads of its first layer as a turn of them by one to three tokens, which is where they look. All are ordinary
    weights, and learn on from there.

    Args:
        tokenizer: gives the number of pieces.
        layers: of the encoder.
        hidden_size: its width, a multiple of ``heads``.
        heads: of each layer.
        feed_forward: inner width; four times ``hidden_size`` when None.
        positions: longest input.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    deviation, width = STANDARD
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=feed_forward or 4 * hidden_size,
        max_position_embeddings=positions,
        pad_token_id=tokenizer.pad_token_id,
        # With fewer terms in each sum, larger weights keep its scale.
        initializer_range=deviation * math.sqrt(width / hidden_size),
    )
    model = BertForMaskedLM(config)
    _look_at_neighbours(model)
    return model


def _look_at_neighbours(model: BertForMaskedLM) -> None:
    """Set the positions, and the queries and keys of the first layer's heads, in place."""
    config = model.config
    size = config.hidden_size // config.num_attention_heads
    fastest, slowest = WAVES
    waves = torch.exp(torch.linspace(math.log(fastest), math.log(slowest), config.hidden_size // 2))
    attention = model.bert.encoder.layer[0].attention.self
    with torch.no_grad():
        angles = torch.arange(config.max_position_embeddings)[:, None] * waves
        table = model.bert.embeddings.position_embeddings.weight
        amplitude = POSITION_AMPLITUDE * config.initializer_range
        table[:, : 2 * len(waves)] = amplitude * torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)
        for head, offset in zip(range(config.num_attention_heads), NEIGHBOURS, strict=False):
            own = slice(head * size, (head + 1) * size)
            turned, plain = _turn(config, waves, head, offset)
            attention.query.weight[own] = turned + RANDOM_SHARE * attention.query.weight[own]
            attention.key.weight[own] = plain + RANDOM_SHARE * attention.key.weight[own]


def _turn(config: BertConfig, waves: Tensor, head: int, offset: int) -> tuple[Tensor, Tensor]:
    """Query and key weights of a head, ``(head size, hidden size)``, whose product is largest at an offset.

    Every head takes each so-manieth wave, so that all have fast and slow ones. A key is the waves at its position, a
    query the waves at its position turned on by the offset.
    """
    size = config.hidden_size // config.num_attention_heads
    query, key = torch.zeros(2, size, config.hidden_size)
    for row in range(size // 2):
        wave = head + config.num_attention_heads * row
        cosine, sine = math.cos(waves[wave] * offset), math.sin(waves[wave] * offset)
        rows, columns = slice(2 * row, 2 * row + 2), slice(2 * wave, 2 * wave + 2)
        query[rows, columns] = torch.tensor([[cosine, -sine], [sine, cosine]])
        key[rows, columns] = torch.eye(2)
    gain = SHARPNESS / size**0.25
    return gain * query, gain * key
