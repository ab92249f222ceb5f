"""Tiny tokenizers, checkpoints and data, made on the spot: every family in milliseconds, without a network."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AlbertTokenizer, BertTokenizer, PreTrainedModel, RobertaTokenizerFast

FAMILIES = ("bert", "roberta", "albert", "electra", "distilbert", "squeezebert")
LABELS = ["bad", "good"]
TAGS = ["B-animal", "B-place", "O"]
GOOD = ["fine", "lovely", "bright", "warm"]
BAD = ["dull", "broken", "cold", "grey"]
ANIMALS = ["cat", "dog", "horse", "owl"]
PLACES = ["park", "house", "river", "barn"]
OTHER = ["the", "a", "saw", "near", "very", "and", "was", "in", "it", "unlike"]
POSITIONS = 48


def sentence(random_: random.Random, mood: list[str], longest: int = 12) -> list[str]:
    """Words of which some tell the mood, an animal or a place."""
    words = [random_.choice(random_.choice([mood, ANIMALS, PLACES, OTHER, OTHER])) for _ in range(longest - 1)]
    return [*words[: random_.randrange(2, longest)], random_.choice(mood)]


def write_text(path: Path, documents: int, seed: int = 0) -> Path:
    """Plain text, a blank line between documents."""
    random_ = random.Random(seed)
    texts = [" ".join(sentence(random_, random_.choice([GOOD, BAD]))) for _ in range(documents)]
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return path


def write_reviews(path: Path, rows: int, seed: int = 0, pairs: bool = False) -> Path:
    """A CSV of texts (or pairs) and the label that their mood words give."""
    random_ = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "pair", "label"] if pairs else ["text", "label"])
        for row in range(rows):
            mood = [BAD, GOOD][row % 2]
            texts = [" ".join(sentence(random_, mood)) for _ in range(1 + pairs)]
            writer.writerow([*texts, LABELS[row % 2]])
    return path


def write_similar(path: Path, rows: int, seed: int = 0) -> Path:
    """A CSV of pairs of texts, and the share of their words that both have."""
    random_ = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sentence1", "sentence2", "score"])
        for _ in range(rows):
            one, other = (sentence(random_, random_.choice([GOOD, BAD])) for _ in range(2))
            shared = len({*one} & {*other}) / len({*one, *other})
            writer.writerow([" ".join(one), " ".join(other), f"{shared:.3f}"])
    return path


def write_lines(path: Path, rows: int, seed: int = 0) -> Path:
    """Plain text, a text a line."""
    random_ = random.Random(seed)
    texts = [" ".join(sentence(random_, random_.choice([GOOD, BAD]))) for _ in range(rows)]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def write_tags(path: Path, rows: int, seed: int = 0) -> Path:
    """JSONL of words and their tags."""
    random_ = random.Random(seed)
    kinds = dict.fromkeys(ANIMALS, "B-animal") | dict.fromkeys(PLACES, "B-place")
    lines = []
    for _ in range(rows):
        words = sentence(random_, GOOD)
        lines.append(json.dumps({"tokens": words, "tags": [kinds.get(word, "O") for word in words]}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_tokenizer(family: str, positions: int = POSITIONS) -> Any:
    """The kind of tokenizer that the family comes with, over the words above."""
    if family == "roberta":
        return _byte_level(positions)
    if family == "albert":
        return _unigram(positions)
    # Some words whole, the others in pieces.
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *OTHER, *ANIMALS, *GOOD[:2], *BAD[:2]]
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    kind = transformers.DistilBertTokenizer if family == "distilbert" else BertTokenizer
    return kind(vocab=vocabulary, model_max_length=positions)


def _texts() -> list[str]:
    random_ = random.Random(1)
    return [" ".join(sentence(random_, mood)) for mood in [GOOD, BAD] * 50]


def _byte_level(positions: int) -> RobertaTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return RobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=positions)


def _unigram(positions: int) -> AlbertTokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    learnt = [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"] if piece != "<unk>"]
    special = [(piece, 0.0) for piece in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")]
    return AlbertTokenizer(vocab=[*special, *learnt], model_max_length=positions)


def make_config(family: str, tokenizer: Any, layers: int = 2, width: int = 32, **fields: Any) -> Any:
    """Configuration of a tiny member of the family."""
    sizes = {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "max_position_embeddings": POSITIONS + (2 if family == "roberta" else 0),
        "pad_token_id": tokenizer.pad_token_id,
        **({"type_vocab_size": 1} if family == "roberta" else {}),
        **({"embedding_size": 16} if family in ("albert", "electra") else {}),
        **({"embedding_size": width} if family == "squeezebert" else {}),
    }
    if family == "distilbert":
        renamed = {"num_hidden_layers": "n_layers", "hidden_size": "dim", "num_attention_heads": "n_heads"}
        sizes = {renamed.get(name, name): value for name, value in sizes.items() if name != "intermediate_size"}
        sizes["hidden_dim"] = 2 * width
    return transformers.AutoConfig.for_model(family, **sizes, **fields)


def make_model(family: str, head: str, tokenizer: Any, seed: int = 0, **fields: Any) -> PreTrainedModel:
    """A random model with a head (none where it is empty), large enough weights to have opinions."""
    torch.manual_seed(seed)
    labels = {"SequenceClassification": LABELS, "TokenClassification": TAGS}.get(head)
    if labels and "num_labels" not in fields:
        fields |= {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    fields.setdefault("initializer_range", 0.2)
    model = auto_class(head).from_config(make_config(family, tokenizer, **fields))
    return model.eval()


def auto_class(head: str) -> Any:
    """The class that loads a model with a head, or without one."""
    return getattr(transformers, f"AutoModelFor{head}" if head else "AutoModel")


def make_checkpoint(folder: Path, family: str = "bert", head: str = "MaskedLM", **fields: Any) -> Path:
    """A model directory with a random model of the family."""
    tokenizer = make_tokenizer(family)
    make_model(family, head, tokenizer, **fields).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load_stock(folder: Path, head: str) -> PreTrainedModel:
    """A model directory as stock code loads it."""
    return auto_class(head).from_pretrained(folder)


def command(*arguments: str | Path) -> list[str]:
    """The command line of PocketBERT."""
    return [sys.executable, "-m", "pocketbert.cli", *map(str, arguments)]


def call(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )
