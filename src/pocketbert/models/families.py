"""Where the families keep the parts that can be taken out, and which axes their weights have."""

from dataclasses import dataclass
from typing import Literal

Axis = Literal["heads", "feed_forward", "hidden", "pooled"] | None
"""What a dimension of a weight counts.

``heads``: all dimensions of all attention heads; ``pooled``: what a head makes of a text before it answers; None:
pieces, positions, labels and factorised embeddings, which pruning leaves alone.
"""


@dataclass(frozen=True)
class Parts:
    """Names of the modules of a layer, from the layer on.

    Attributes:
        queries: makes the queries; its input is the layer's.
        keys: makes the keys.
        values: makes the values.
        merge: brings the heads together.
        widen: gives the feed-forward neurons.
        narrow: back to the hidden width.
        middle: the LayerNorm after the attention.
        end: the LayerNorm whose output is the layer's.
    """

    queries: str
    keys: str
    values: str
    merge: str
    widen: str
    narrow: str
    middle: str
    end: str

    @property
    def axes(self) -> dict[str, tuple[Axis, ...]]:
        """The axes of each module's weight, outputs first; a bias has the first of them."""
        return {
            self.queries: ("heads", "hidden"),
            self.keys: ("heads", "hidden"),
            self.values: ("heads", "hidden"),
            self.merge: ("hidden", "heads"),
            self.widen: ("feed_forward", "hidden"),
            self.narrow: ("hidden", "feed_forward"),
            self.middle: ("hidden",),
            self.end: ("hidden",),
        }


_BERT = Parts(
    queries="attention.self.query",
    keys="attention.self.key",
    values="attention.self.value",
    merge="attention.output.dense",
    widen="intermediate.dense",
    narrow="output.dense",
    middle="attention.output.LayerNorm",
    end="output.LayerNorm",
)
PARTS = {
    "bert": _BERT,
    "roberta": _BERT,
    "electra": _BERT,
    "albert": Parts(
        queries="attention.query",
        keys="attention.key",
        values="attention.value",
        merge="attention.dense",
        widen="ffn",
        narrow="ffn_output",
        middle="attention.LayerNorm",
        end="full_layer_layer_norm",
    ),
    "distilbert": Parts(
        queries="attention.q_lin",
        keys="attention.k_lin",
        values="attention.v_lin",
        merge="attention.out_lin",
        widen="ffn.lin1",
        narrow="ffn.lin2",
        middle="sa_layer_norm",
        end="output_layer_norm",
    ),
    "squeezebert": Parts(
        queries="attention.query",
        keys="attention.key",
        values="attention.value",
        merge="post_attention.conv1d",
        widen="intermediate.conv1d",
        narrow="output.conv1d",
        middle="post_attention.layernorm",
        end="output.layernorm",
    ),
}
"""The layers of each family that can be pruned."""

# Modules outside of the layers, of any family.
TABLES = r"\.embeddings\.(word|position|token_type)_embeddings$"
NORM = r"\.embeddings\.LayerNorm$"
PROJECTION = r"\.(embeddings_project|embedding_hidden_mapping_in)$"
POOLED = r"(\.pooler(\.dense)?|^pre_classifier|^classifier\.dense)$"
ANSWER = r"^(classifier|classifier\.out_proj|qa_outputs)$"
