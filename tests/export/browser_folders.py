"""Browser folders of every task, each with a tokenizer of another family, and what Python says to their texts."""

import json
from pathlib import Path
from typing import Any

import browser_graphs
from transformers import AutoTokenizer

import tiny
from pocketbert.export.browser import BrowserPage, Golden, write_browser

MAX_LENGTH = 24
TEXTS = [
    "the cat saw a lovely park",
    "",
    "x",
    "naïve café — “quoted” ﬁne ①",
    "😀 emoji 👩‍👩‍👧 flags 🇫🇷",
    "שלום עולם and مرحبا",
    "日本語 and 中文 mixed",
    "tabs\tand\nlines  and   spaces",
    "İstanbul STRASSE ß don't $5.00 e-mail@x.org",
    "warm " * 200,
]
SECOND = "a dog was in the river near a very cold barn and a horse"
LABELS = {
    "classification": ["bad", "good", "so-so"],
    "multi_label": ["bad", "good", "so-so"],
    "regression": None,
    "token_classification": ["O", "B-animal", "I-animal", "B-place"],
    "question_answering": None,
    "masked_lm": None,
    "embedding": None,
}
PAIRS = {"regression", "question_answering"}
FAMILIES = {
    "classification": "bert",
    "multi_label": "albert",
    "regression": "electra",
    "token_classification": "roberta",
    "question_answering": "squeezebert",
    "masked_lm": "distilbert",
    "embedding": "bert",
}


def write_model_dir(folder: Path, family: str) -> Path:
    """What the page needs of a model directory, with a tokenizer of the family."""
    folder.mkdir(parents=True)
    tokenizer = tiny.make_tokenizer(family)
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    return folder


def load_tokenizer(folder: Path, task: str):
    # A byte-level tokenizer reads the words of a list only with a space before each.
    words = {"add_prefix_space": True} if task == "token_classification" else {}
    return AutoTokenizer.from_pretrained(folder, **words)


def encode(tokenizer, task, text, pair):
    """Inputs as the task makes them in training."""
    if task == "token_classification":
        return tokenizer([text], is_split_into_words=True, truncation=True, max_length=MAX_LENGTH)
    truncation = "only_second" if task == "question_answering" else True
    return tokenizer([text], pair and [pair], truncation=truncation, max_length=MAX_LENGTH)


def make_graph(task, tokenizer, shift=0.0):
    labels = LABELS[task]
    width = (
        len(labels) if labels else {"regression": 1, "question_answering": 2, "masked_lm": len(tokenizer)}.get(task, 6)
    )
    return browser_graphs.Graph(task, len(tokenizer), width, "token_type_ids" in tokenizer.model_input_names, shift)


def make_golden(task, tokenizer, graph):
    """Golden texts from numpy, and the ids of Python's tokenizer."""
    found = []
    for text in TEXTS[3:] if task == "question_answering" else TEXTS:
        words = text.split() if task == "token_classification" else text
        first, pair = (
            ("who saw it ?", text) if task == "question_answering" else (words, SECOND if task in PAIRS else None)
        )
        batch = encode(tokenizer, task, first, pair)
        inputs = {name: values[0] for name, values in batch.items()}
        found.append(Golden(first, pair, inputs["input_ids"], graph.run(inputs)))
    return found


def write_folder(folder: Path, task: str, packages: Path, **changes: Any) -> Path:
    """A browser folder with three files: right, nearly right, and of swapped labels.

    Args:
        folder: where to; the model directory is written beside it.
        task: the task's name in recipes.
        packages: a folder ``node_modules``.
        changes: arguments of ``write_browser`` that are to be others.
    """
    source = write_model_dir(folder.with_name(f"{folder.name}-model"), FAMILIES[task])
    tokenizer = load_tokenizer(source, task)
    tokenizer.save_pretrained(source)
    right, near = make_graph(task, tokenizer), make_graph(task, tokenizer, shift=0.01)
    wrong = make_graph(task, tokenizer)
    wrong.rows = wrong.rows[:, ::-1].copy() if wrong.rows.shape[1] > 1 else -wrong.rows
    files = {"fp32": right, "int8": near, "fp16": wrong}
    paths = {name: graph.write(source / f"{name}.onnx") for name, graph in files.items()}
    page = BrowserPage(f"A {task}", task, LABELS[task], MAX_LENGTH, task in PAIRS)
    given = {
        "files": paths,
        "page": page,
        "golden": make_golden(task, tokenizer, right),
        "model_dir": source,
        "packages": packages,
    }
    write_browser(folder, **(given | changes))
    return folder
