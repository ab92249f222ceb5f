"""Which pieces of a tokenizer stay, and its ``tokenizer.json`` without the others.

A text whose own pieces all stay is read as before. WordPiece takes the longest piece that fits, so a word only changes
when a piece that it used is gone. BPE merges pairs in the order of its list: the merges inside a piece do not depend on
what stands around it, so those that lead to the pieces that stay suffice, and without the others none comes earlier.
Unigram takes the likeliest path, which stays the likeliest when others are gone.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pocketbert.errors import ModelError

Tree = dict[str, Any]
"""A ``tokenizer.json``, read."""
KINDS = ("WordPiece", "BPE", "Unigram")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def choose_pieces(tree: Tree, needed: Iterable[int], characters: bool) -> list[int]:
    """The ids of the pieces that stay, in their old order.

    Args:
        tree: the tokenizer.
        needed: ids that have to stay.
        characters: keep what any word can be spelt with: every single character (or byte), also inside a word, and
            pieces with a character that has no piece of its own.

    Raises:
        ModelError: the tokenizer is of another kind than WordPiece, BPE and Unigram.
    """
    model = tree["model"]
    if model["type"] not in KINDS:
        raise ModelError(f"trim: cuts tokenizers of the kinds {', '.join(KINDS)}, not {model['type']}")
    pieces = _pieces(model)
    kept = {*needed, *_special_ids(tree)}
    # Without a piece for the unknown, what cannot be spelt would be lost without a trace.
    if characters or (model["type"] == "BPE" and model["unk_token"] is None):
        kept |= {number for piece, number in pieces.items() if _is_character(piece, model)}
    if characters:
        kept |= _unspellable(model, pieces)
    if model["type"] == "BPE":
        kept |= _on_the_way(model, pieces, kept)
    if model["type"] == "Unigram":
        kept |= _unigram_anchors(model)
    return sorted(kept)


def cut_pieces(tree: Tree, numbers: Mapping[int, int]) -> Tree:
    """The tokenizer with some of its pieces only.

    Args:
        tree: the tokenizer; left as it is.
        numbers: old id to new id of the pieces that stay.
    """
    padding = tree["padding"]
    return {
        **tree,
        "model": _cut_model(tree["model"], numbers),
        "added_tokens": [{**token, "id": numbers[token["id"]]} for token in tree["added_tokens"]],
        "post_processor": _renumber(tree["post_processor"], numbers),
        "padding": padding and {**padding, "pad_id": numbers[padding["pad_id"]]},
    }


def _pieces(model: Tree) -> dict[str, int]:
    """Piece to id; added tokens may have ids beyond."""
    vocabulary = model["vocab"]
    if model["type"] == "Unigram":
        return {piece: number for number, (piece, _score) in enumerate(vocabulary)}
    return dict(vocabulary)


def _special_ids(tree: Tree) -> set[int]:
    model = tree["model"]
    found = {token["id"] for token in tree["added_tokens"]} | set(_processor_ids(tree["post_processor"]))
    if tree["padding"]:
        found.add(tree["padding"]["pad_id"])
    unknown = model["unk_id"] if model["type"] == "Unigram" else _pieces(model).get(model["unk_token"])
    return found if unknown is None else found | {unknown}


def _is_character(piece: str, model: Tree) -> bool:
    inside = piece.removeprefix(_prefix(model)).removesuffix(model.get("end_of_word_suffix") or "")
    return len(inside) == 1 or _BYTE.fullmatch(piece) is not None


def _prefix(model: Tree) -> str:
    """What pieces inside a word begin with, such as ``##``."""
    return model.get("continuing_subword_prefix") or ""


def _unspellable(model: Tree, pieces: Mapping[str, int]) -> set[int]:
    """Pieces with a character that has no piece of its own; BPE has none, for it starts from single characters."""
    if model["type"] == "BPE":
        return set()
    prefix = _prefix(model)
    return {number for piece, number in pieces.items() if not all(part in pieces for part in _spelling(piece, prefix))}


def _spelling(piece: str, prefix: str) -> list[str]:
    head = len(prefix) + 1 if piece.startswith(prefix) else 1
    return [piece[:head], *(prefix + character for character in piece[head:])]


def _merged(first: str, second: str, model: Tree) -> str:
    return first + second.removeprefix(_prefix(model))


def _on_the_way(model: Tree, pieces: Mapping[str, int], kept: Iterable[int]) -> set[int]:
    """The ids of all pieces that merges go through to get to those that are kept."""
    parts: dict[str, set[str]] = defaultdict(set)
    for first, second in model["merges"]:
        parts[_merged(first, second, model)] |= {first, second}
    names = {number: piece for piece, number in pieces.items()}
    found: set[str] = set()
    waiting = [names[number] for number in kept if number in names]
    while waiting:
        piece = waiting.pop()
        if piece not in found:
            found.add(piece)
            waiting += parts[piece]
    return {pieces[piece] for piece in found}


def _unigram_anchors(model: Tree) -> set[int]:
    """What else a Unigram tokenizer counts on."""
    scores = [score for _piece, score in model["vocab"]]
    # An unknown character costs ten more than the least likely piece: with another one, other paths may win.
    anchors = {scores.index(min(scores))}
    # Some tokenizers of transformers have the number of the unknown piece in their code, so it must not change.
    return anchors | set(range(model["unk_id"] or 0))


def _cut_model(model: Tree, numbers: Mapping[int, int]) -> Tree:
    if model["type"] == "Unigram":
        kept = [entry for number, entry in enumerate(model["vocab"]) if number in numbers]
        return {**model, "vocab": kept, "unk_id": numbers.get(model["unk_id"])}
    pieces = {piece: numbers[number] for piece, number in model["vocab"].items() if number in numbers}
    if model["type"] == "WordPiece":
        return {**model, "vocab": pieces}
    merges = [
        (first, second)
        for first, second in model["merges"]
        if first in pieces and second in pieces and _merged(first, second, model) in pieces
    ]
    return {**model, "vocab": pieces, "merges": merges}


def _processor_ids(processor: Tree | None) -> list[int]:
    """Ids of the special tokens that a post-processor puts around a text."""
    if not processor:
        return []
    if processor["type"] == "Sequence":
        return [number for part in processor["processors"] for number in _processor_ids(part)]
    if processor["type"] == "TemplateProcessing":
        return [number for token in processor["special_tokens"].values() for number in token["ids"]]
    return [processor[name][1] for name in ("cls", "sep") if name in processor]


def _renumber(processor: Tree | None, numbers: Mapping[int, int]) -> Tree | None:
    if not processor:
        return processor
    if processor["type"] == "Sequence":
        return {**processor, "processors": [_renumber(part, numbers) for part in processor["processors"]]}
    if processor["type"] == "TemplateProcessing":
        tokens = {
            name: {**token, "ids": [numbers[number] for number in token["ids"]]}
            for name, token in processor["special_tokens"].items()
        }
        return {**processor, "special_tokens": tokens}
    pairs = {name: processor[name] for name in ("cls", "sep") if name in processor}
    return {**processor, **{name: (token, numbers[number]) for name, (token, number) in pairs.items()}}
