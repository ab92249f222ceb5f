"""Students: their shape, and what they take over from the teacher's layers."""

import copy
import re
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.errors import ModelError
from pocketbert.models.loading import load_tokenizer
from pocketbert.models.projection import accepted_inputs
from pocketbert.recipe import Init, Student

# BERT's parameter names and those of DistilBERT, which is the same network without token types and pooler.
BERT_TO_DISTILBERT = (
    (r"^bert\.embeddings\.", "distilbert.embeddings."),
    (r"^bert\.encoder\.layer\.", "distilbert.transformer.layer."),
    (r"\.attention\.self\.query\.", ".attention.q_lin."),
    (r"\.attention\.self\.key\.", ".attention.k_lin."),
    (r"\.attention\.self\.value\.", ".attention.v_lin."),
    (r"\.attention\.output\.dense\.", ".attention.out_lin."),
    (r"\.attention\.output\.LayerNorm\.", ".sa_layer_norm."),
    (r"\.intermediate\.dense\.", ".ffn.lin1."),
    (r"(\.layer\.\d+)\.output\.dense\.", r"\1.ffn.lin2."),
    (r"(\.layer\.\d+)\.output\.LayerNorm\.", r"\1.output_layer_norm."),
    (r"^cls\.predictions\.transform\.dense\.", "vocab_transform."),
    (r"^cls\.predictions\.transform\.LayerNorm\.", "vocab_layer_norm."),
    (r"^cls\.predictions\.(decoder\.)?", "vocab_projector."),
)


@dataclass(frozen=True)
class Carried:
    """A line of the table of what a student took over.

    Attributes:
        part: of the student, such as ``layer 2``.
        source: where it came from, such as ``teacher layer 4``, or why it is new.
        parameters: how many.
    """

    part: str
    source: str
    parameters: int


@dataclass(frozen=True)
class BuiltStudent:
    """A student before its first step, with its tokenizer and the table of what it took over."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    carried: list[Carried]


def build_student(teacher: PreTrainedModel, source: str, shape: Student, pairs: bool, seed: int) -> BuiltStudent:
    """Make a student with the same kind of head as the teacher, or without one.

    Args:
        teacher: the model to take after, with its head if it has one.
        source: the teacher's directory or hub name, for its tokenizer.
        shape: the student section of the recipe.
        pairs: whether the task has pairs of texts, so that token types matter.
        seed: of the new weights.

    Raises:
        ModelError: the shape is impossible, or the architecture is neither DistilBERT for a BERT teacher nor the
            teacher's own.
    """
    architecture = choose_architecture(teacher.config, shape.architecture, pairs)
    config = _student_config(teacher.config, architecture, shape)
    torch.manual_seed(seed)
    student = _same_head(teacher, config)
    layers = choose_layers(shape.init, teacher.config.num_hidden_layers, config.num_hidden_layers)
    carried = carry_over(teacher, student, layers)
    return BuiltStudent(student, _student_tokenizer(source, student), carried)


def choose_architecture(config: Any, wanted: str, pairs: bool) -> str:
    """The student's family.

    ``auto`` is DistilBERT for a BERT teacher, but BERT itself where the task has pairs: DistilBERT has no token
    types, and the teacher's would be lost.

    Raises:
        ModelError: another family than these was asked for.
    """
    family: str = config.model_type
    if wanted == "auto":
        return "distilbert" if family == "bert" and not pairs else family
    if wanted == family or (wanted == "distilbert" and family == "bert"):
        return wanted
    options = sorted({family, "distilbert"} if family == "bert" else {family})
    raise ModelError(f"a {family} teacher has no {wanted} student; student.architecture can be: {', '.join(options)}")


def choose_layers(init: Init | list[int], teacher_layers: int, student_layers: int) -> list[int] | None:
    """Which teacher layer each student layer starts from; None for random weights.

    Raises:
        ModelError: the list has the wrong length or names a layer that is not there.
    """
    if init == "none":
        return None
    if isinstance(init, list):
        if len(init) != student_layers or not all(0 <= layer < teacher_layers for layer in init):
            raise ModelError(
                f"student.init {init}: give {student_layers} teacher layers between 0 and {teacher_layers - 1}"
            )
        return init
    if student_layers > teacher_layers:
        raise ModelError(
            f"a student of {student_layers} layers cannot start from {teacher_layers} teacher layers; set init: none"
        )
    if init == "distilbert":
        if (teacher_layers, student_layers) != (12, 6):
            raise ModelError("student.init distilbert is for 6 of 12 layers; use uniform, first, last or a list")
        return [0, 2, 4, 7, 9, 11]
    if init == "first":
        return list(range(student_layers))
    if init == "last":
        return list(range(teacher_layers - student_layers, teacher_layers))
    step = (teacher_layers - 1) / max(student_layers - 1, 1)
    return [round(layer * step) for layer in range(student_layers)]


def carry_over(teacher: PreTrainedModel, student: PreTrainedModel, layers: list[int] | None) -> list[Carried]:
    """Copy weights of the same meaning and shape from teacher to student.

    Args:
        teacher: source of the weights.
        student: changed in place.
        layers: teacher layer of each student layer; None copies nothing.

    Returns:
        One line a part: the embeddings, each layer, the head.
    """
    theirs = _teacher_weights(teacher, student.config.model_type)
    stack = _layer_prefix(student)
    groups: dict[str, dict[str, int]] = {}
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            part, origin = _origin(name, stack, layers)
            found = theirs.get(origin) if layers is not None else None
            fits = found is not None and found.shape == parameter.shape
            if fits:
                parameter.copy_(found)
            why = _describe(part, origin, stack, fits, found is not None)
            group = groups.setdefault(part, {})
            group[why] = group.get(why, 0) + parameter.numel()
    student.tie_weights()
    return [Carried(part, why, count) for part, group in groups.items() for why, count in group.items()]


def _student_tokenizer(source: str, student: PreTrainedModel) -> PreTrainedTokenizerBase:
    """The teacher's tokenizer, without token types where the student takes none: stock code passes all it gives."""
    tokenizer = load_tokenizer(source)
    accepted = accepted_inputs(student)
    if set(tokenizer.model_input_names) <= accepted:
        return tokenizer
    return load_tokenizer(source, model_input_names=[n for n in tokenizer.model_input_names if n in accepted])


def _student_config(teacher: Any, architecture: str, shape: Student) -> Any:
    layers = shape.layers or max(1, teacher.num_hidden_layers // 2)
    hidden = shape.hidden_size or teacher.hidden_size
    heads = shape.heads or teacher.num_attention_heads
    if hidden % heads:
        raise ModelError(f"student: hidden_size {hidden} is not a multiple of heads {heads}")
    labels = {
        "id2label": teacher.id2label,
        "label2id": teacher.label2id,
        "problem_type": teacher.problem_type,
    }
    if architecture == "distilbert" and teacher.model_type == "bert":
        return transformers.DistilBertConfig(
            vocab_size=teacher.vocab_size,
            max_position_embeddings=teacher.max_position_embeddings,
            n_layers=layers,
            n_heads=heads,
            dim=hidden,
            hidden_dim=shape.feed_forward or teacher.intermediate_size,
            activation=teacher.hidden_act,
            dropout=teacher.hidden_dropout_prob,
            attention_dropout=teacher.attention_probs_dropout_prob,
            pad_token_id=teacher.pad_token_id,
            **labels,
        )
    config = copy.deepcopy(teacher)
    config.num_hidden_layers, config.num_attention_heads = layers, heads
    if config.model_type == "squeezebert" or getattr(config, "embedding_size", None) == config.hidden_size:
        config.embedding_size = hidden
    config.hidden_size = hidden
    if shape.feed_forward:
        setattr(
            config,
            "hidden_dim" if config.model_type == "distilbert" else "intermediate_size",
            shape.feed_forward,
        )
    return config


def _same_head(teacher: PreTrainedModel, config: Any) -> PreTrainedModel:
    if _is_bare(teacher):
        kind = MODEL_MAPPING[type(config)]
        # An embedding is made of the tokens: nothing would teach a pooler.
        options = {"add_pooling_layer": False} if "add_pooling_layer" in signature(kind).parameters else {}
        bare: PreTrainedModel = AutoModel.from_config(config, dtype=torch.float32, **options)
        return bare
    head = re.sub(r"^.*For", "", type(teacher).__name__)
    auto: Any = getattr(transformers, f"AutoModelFor{head}")
    model: PreTrainedModel = auto.from_config(config, dtype=torch.float32)
    return model


def _is_bare(model: PreTrainedModel) -> bool:
    """Whether a model has no head, so that the names of its weights lack that of the encoder."""
    return model.base_model is model


def _teacher_weights(teacher: PreTrainedModel, family: str) -> dict[str, Tensor]:
    bare = _is_bare(teacher)
    weights = {name: value.detach() for name, value in teacher.named_parameters(remove_duplicate=False)}
    if bare:
        # A checkpoint may have come without its pooler, which is random then.
        weights = {name: value for name, value in weights.items() if not name.startswith("pooler.")}
    if family == teacher.config.model_type:
        return weights
    if bare:
        weights = {f"bert.{name}": value for name, value in weights.items()}
    renamed = {_rename(name): value for name, value in weights.items() if not _needs_pooler(name, teacher)}
    types = weights.get("bert.embeddings.token_type_embeddings.weight")
    positions = "distilbert.embeddings.position_embeddings.weight"
    if types is not None:
        # Every token of a single text has type 0: its embedding becomes part of the positions.
        renamed[positions] = renamed[positions] + types[0]
    return {name.removeprefix("distilbert."): value for name, value in renamed.items()} if bare else renamed


def _rename(name: str) -> str:
    for pattern, replacement in BERT_TO_DISTILBERT:
        name = re.sub(pattern, replacement, name)
    return name


def _needs_pooler(name: str, teacher: PreTrainedModel) -> bool:
    # The classifier of whole texts reads BERT's pooler (tanh), which DistilBERT replaces by another layer (ReLU).
    return "pooler" in name or (name.startswith("classifier.") and "SequenceClassification" in type(teacher).__name__)


def layer_type(model: PreTrainedModel) -> type[nn.Module] | None:
    """The class of a model's layers; None where they are not kept in a list (ALBERT)."""
    prefix = _layer_prefix(model)
    layers: Any = model.get_submodule(prefix) if prefix else []
    return type(layers[0]) if len(layers) else None


def _layer_prefix(model: PreTrainedModel) -> str:
    """Name of the list of layers, ``bert.encoder.layer`` for instance; empty where layers are shared."""
    name: str
    for name, module in model.named_modules():
        layers = isinstance(module, nn.ModuleList) and name.rsplit(".", 1)[-1].startswith("layer")
        if layers and len(module) == model.config.num_hidden_layers:
            return name
    return ""


def _origin(name: str, stack: str, layers: list[int] | None) -> tuple[str, str]:
    """The part of the student that a parameter belongs to, and the teacher's name for it."""
    if stack and name.startswith(stack + "."):
        number, rest = name[len(stack) + 1 :].split(".", 1)
        teacher_layer = layers[int(number)] if layers is not None else int(number)
        return f"layer {number}", f"{stack}.{teacher_layer}.{rest}"
    if "embeddings" in name:
        return "embeddings", name
    if name.startswith("pooler."):
        return "pooler", name
    return ("shared layers" if ".encoder." in f".{name}" else "head"), name


def _describe(part: str, origin: str, stack: str, fits: bool, found: bool) -> str:
    if not fits:
        return "new (another shape)" if found else "new"
    if part.startswith("layer "):
        return "teacher layer " + origin[len(stack) + 1 :].split(".", 1)[0]
    return "teacher"
