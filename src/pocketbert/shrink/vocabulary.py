"""Cut the vocabulary of a model to the pieces that the user's text needs."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from pocketbert.data.sources import fingerprint
from pocketbert.distill import ranks
from pocketbert.distill.rows import fingerprints, read_rows, training_inputs
from pocketbert.distill.stage import StageFolder
from pocketbert.errors import ModelError, PocketBertError
from pocketbert.files import hash_text
from pocketbert.manifest import Manifest, Parent, hash_options, hash_weights
from pocketbert.measure.size import measure_size
from pocketbert.measure.wording import counted, file_size
from pocketbert.models.loading import LoadedModel, load_as_saved, load_tokenizer, max_positions
from pocketbert.recipe import Data, TrimStage
from pocketbert.shrink.counts import Counts, common_pieces, count_pieces
from pocketbert.shrink.coverage import Texts, compare_readings, row_texts, source_texts
from pocketbert.shrink.embeddings import check_width, cut_rows, factorise
from pocketbert.shrink.pieces import Tree, choose_pieces, cut_pieces
from pocketbert.tasks.words import mark_word_starts

TOKENIZER = "tokenizer.json"
_FEW = 100
"""Texts: of fewer than these, a share of one in a hundred is none."""
CHANGED = 0.01
"""Share of unseen texts that may be read in other pieces: answers on most of them stay the same all the same."""


@dataclass
class _Reading:
    """What the stage reads.

    Attributes:
        domain: texts of the domain, which must be read as before.
        safety: texts whose pieces stay.
        checked: other texts, to report on.
        notes: what was guessed, held out, skipped.
    """

    domain: list[Texts] = field(default_factory=list)
    safety: list[Texts] = field(default_factory=list)
    checked: list[Texts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def trim(
    options: TrimStage,
    model: str,
    output: Path | str,
    data: Data | None = None,
    *,
    console: Console | None = None,
    replace: bool = False,
) -> Manifest:
    """Keep the pieces that training rows, a corpus and a safety list need; cut all others from tokenizer and model.

    The texts that were read are read in the same pieces as before (unless ``least`` is above 1), under other ids, which
    the stage makes sure of; so the model answers as before on them. Only a word that was unknown to WordPiece may have
    become known. What unseen text of the domain loses is measured on the validation rows, which choose nothing here.
    Test rows are not looked at.

    Args:
        options: which texts, and what else stays.
        model: the model directory or hub name to start from; any head.
        output: the model directory to be.
        data: the task and its rows, where the options name none.
        console: for tables and notes; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the model directory; a finished one with the same inputs is left as it is.

    Raises:
        PocketBertError: the texts or the model cannot be used.
    """
    console = console or Console(stderr=True)
    data = options.data or data
    if data is None and not options.corpus:
        raise PocketBertError("trim: name the rows of a task (data) or text of the domain (corpus)")
    # Where several processes run a recipe, the others find what the main one has made.
    with ranks.main_first():
        return _trim_once(options, model, Path(output), data, console, replace)


def _trim_once(
    options: TrimStage, model: str, output: Path, data: Data | None, console: Console, replace: bool
) -> Manifest:
    rows, texts = fingerprints(data) if data else {}, _fingerprints(options)
    parent = Parent(role="start", source=model, weights=hash_weights(model))
    learnt = training_inputs(data, rows) if data else ""
    key = hash_text("trim", hash_options(options), learnt, *texts.values(), parent.weights)
    stage = StageFolder(output, key, replace)
    if stage.done:
        return stage.skip(console)
    loaded = load_as_saved(model)
    if options.embedding_size:
        check_width(loaded.model, options.embedding_size, model)
    reading = _open_texts(options, data, loaded.tokenizer)
    with stage.preparing(), console.status("reading texts"):
        numbers, metrics = _make(options, loaded, reading, stage.whole)
        metrics["coverage"] = _cover(reading, loaded, stage.whole, numbers)
    _show(console, metrics, reading.notes)
    manifest = Manifest(
        stage="trim",
        key=key,
        parents=[parent],
        data=rows | texts,
        notes=reading.notes,
        metrics=metrics,
        options=options.model_copy(update={"data": data}).model_dump(mode="json"),
    )
    stage.close(manifest)
    return manifest


def _fingerprints(options: TrimStage) -> dict[str, str]:
    sources = {"corpus": options.corpus, "keep": options.keep, "check": options.check}
    return {name: fingerprint(each) for name, each in sources.items() if each}


def _open_texts(options: TrimStage, data: Data | None, tokenizer: Any) -> _Reading:
    """Texts as the task gives them to the tokenizer, which is set as the task sets it."""
    reading = _Reading()
    if data:
        rows = read_rows(data)
        reading.notes += rows.notes
        reading.domain.append(row_texts("training rows", rows.train))
        if rows.validation:
            reading.checked.append(row_texts("validation rows", rows.validation))
        if data.task == "token_classification":
            mark_word_starts(tokenizer)
    column, notes = options.text_column, reading.notes
    if options.corpus:
        reading.domain.append(source_texts("corpus", options.corpus, column, notes))
    if options.keep:
        reading.safety.append(source_texts("keep", options.keep, column, notes))
    reading.checked += [source_texts(source, [source], column, notes) for source in options.check or []]
    return reading


def _make(
    options: TrimStage, loaded: LoadedModel, reading: _Reading, folder: Path
) -> tuple[dict[int, int], dict[str, Any]]:
    """Write the smaller model and its tokenizer.

    Returns:
        Old id to new id of the pieces that stay, and what has become smaller.
    """
    loaded.tokenizer.save_pretrained(folder)
    tree = json.loads((folder / TOKENIZER).read_bytes())
    counts, safety = (count_pieces(texts, loaded.tokenizer) for texts in (reading.domain, reading.safety))
    if options.least is None and counts.texts < _FEW:
        reading.notes.append(_describe_few(counts.texts))
    kept, expected = _choose(options, tree, loaded, counts, safety)
    numbers = {old: new for new, old in enumerate(kept)}
    metrics: dict[str, Any] = {"pieces": _pair(len(loaded.tokenizer), len(kept)), "expected_changed": expected}
    model = cut_rows(loaded.model, numbers)
    if options.embedding_size:
        metrics["embedding_size"] = _pair(model.config.embedding_size, options.embedding_size)
        model, share = factorise(model, options.embedding_size, counts.occurrences[kept])
        metrics["embedding_variance_kept"] = share
        reading.notes.append(_describe_narrowed(metrics))
    model.save_pretrained(folder)
    # The library reads it before it writes it, so that a tree that is no tokenizer does not get far.
    Tokenizer.from_str(json.dumps(cut_pieces(tree, numbers))).save(str(folder / TOKENIZER))
    before, after = measure_size(loaded.source), measure_size(str(folder))
    metrics |= {"parameters": _pair(before.parameters, after.parameters), "bytes": _pair(before.bytes, after.bytes)}
    return numbers, metrics


def _choose(
    options: TrimStage, tree: Tree, loaded: LoadedModel, counts: Counts, safety: Counts
) -> tuple[list[int], float | None]:
    """Which pieces stay.

    Returns:
        Their ids, and the share of unseen texts of the domain that is expected to be read in other pieces; None where
        pieces of the texts that were read are cut as well, so that these tell it.
    """
    pieces = {number: piece for piece, number in loaded.tokenizer.get_vocab().items()}
    needed = {*(_named(loaded.model.config) & pieces.keys()), *np.flatnonzero(safety.in_texts).tolist()}
    stay = set(choose_pieces(tree, needed, options.characters))
    if options.least is None:
        stay |= common_pieces(counts, stay, options.changed or CHANGED, pieces)
    expected = None if (options.least or 1) > 1 else len(counts.changes(stay)) / counts.texts
    found = np.flatnonzero(counts.in_texts >= (options.least or 1)).tolist()
    return choose_pieces(tree, stay.union(found), options.characters), expected


def _named(config: Any) -> set[int]:
    """Ids that the model's configuration names, or counts on."""
    numbers = (number for name, number in config.to_dict().items() if name.endswith("_token_id"))
    named = {number for number in numbers if isinstance(number, int)}
    if max_positions(config) < config.max_position_embeddings:
        # Such a model counts its positions from the number of the padding piece, which therefore has to stay the same.
        named |= set(range(config.pad_token_id))
    return named


def _cover(reading: _Reading, loaded: LoadedModel, folder: Path, numbers: dict[int, int]) -> dict[str, Any]:
    """Read all texts before and after; what has changed noticeably goes to the notes.

    Raises:
        ModelError: a text of the domain is read in other pieces though its own are all there.
    """
    trimmed = load_tokenizer(str(folder))
    found = {}
    for texts in [*reading.domain, *reading.checked]:
        coverage = compare_readings(texts, loaded.tokenizer, trimmed, numbers)
        if coverage.broken and texts in reading.domain:
            raise ModelError(
                f"{loaded.source}: trim: this tokenizer cannot be trimmed: with all its pieces still there it would "
                f"read {coverage.broken[:80]!r} in others"
            )
        reading.notes += coverage.warnings() if texts in reading.checked else []
        found[texts.name] = coverage.measured()
    return found


def _pair(before: int, after: int) -> dict[str, int]:
    return {"before": before, "after": after}


def _describe_few(texts: int) -> str:
    return (
        f"{counted(texts, 'text')} of the domain: too few to tell which pieces others need, so that few can go. In "
        "plain text a blank line ends a text, not a line; texts of one line each are better put into a table or JSONL"
    )


def _describe_narrowed(metrics: dict[str, Any]) -> str:
    before, after = metrics["embedding_size"].values()
    return (
        f"embeddings narrowed from {before} to {after} dimensions, with {metrics['embedding_variance_kept']:.2%} of "
        "their variance: answers differ from the model's own; distil it (student.start) to win them back"
    )


def _show(console: Console, metrics: dict[str, Any], notes: list[str]) -> None:
    sizes = Table("", "before", "after", "saved", title="The trimmed model")
    for name, show in (("pieces", _count), ("parameters", _count), ("bytes", file_size)):
        before, after = metrics[name].values()
        sizes.add_row(name, show(before), show(after), f"{show(before - after)}, {1 - after / before:.1%}")
    texts = Table("texts", "number", "unchanged", "pieces a word", "unknown words", title="How texts are read")
    for name, found in metrics["coverage"].items():
        pieces = " → ".join(f"{value:.3f}" for value in found["pieces_per_word"].values())
        unknown = " → ".join(f"{value:.2%}" for value in found["unknown_rate"].values())
        texts.add_row(name, _count(found["texts"]), f"{found['unchanged']:.1%}", pieces, unknown)
    console.print(sizes, texts)
    for note in notes:
        console.print(note, highlight=False)


def _count(number: float) -> str:
    return f"{number:,}"
