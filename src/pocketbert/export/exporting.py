"""The stage ``export``: files for engines, each held against the model it was made from."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pocketbert.distill.prediction import run_engine
from pocketbert.distill.rows import encode_role, fingerprints, targets
from pocketbert.distill.stage import StageFolder
from pocketbert.engines.base import Engine, Inputs
from pocketbert.engines.encoding import TextEncoder
from pocketbert.engines.exported import files_of, open_file
from pocketbert.engines.golden import FOLDER, Golden, GoldenText, condense
from pocketbert.engines.parity import check_parity, measure_parity
from pocketbert.errors import GateBreach, ModelError
from pocketbert.export.browser import BrowserPage, write_browser
from pocketbert.export.browser import Golden as PageText
from pocketbert.export.formats import BROWSER, Wanted, int8_sources, wanted_files, write_files
from pocketbert.export.packages import find_runtime
from pocketbert.export.subject import Subject, read_subject
from pocketbert.export.texts import HARD, gate_texts
from pocketbert.export.verification import FileCheck, Verification, show_checks
from pocketbert.files import hash_file, hash_text
from pocketbert.manifest import LOG, NAME, ExportedFile, Manifest, Parent, hash_options, hash_weights
from pocketbert.measure.scores import kept
from pocketbert.measure.wording import counted
from pocketbert.models.torch_engine import TorchEngine
from pocketbert.recipe import Data, ExportStage
from pocketbert.tasks.base import Encoded, Feature, Task, collate

_NOT_OURS = {NAME, LOG}


class _Reference:
    """The score of the model on the held-out rows, of which files have to keep a share.

    Args:
        task: scores.
        encoded: the rows.
        engine: that runs the model.

    Attributes:
        score: of the model.
        notes: a sentence where no share of it can be kept.
    """

    def __init__(self, task: Task, encoded: Encoded, engine: Engine) -> None:
        self._task, self._encoded = task, encoded
        self.score = self.score_engine(engine)
        self.notes = []
        if not self.score > 0:
            self.notes.append(
                f"the model scores {self.score:.4f} on the held-out rows: no share of that can be kept, so that of the "
                "score there is no gate"
            )

    def score_engine(self, engine: Engine) -> float:
        """The score of a file, or of the model itself: the mean of the deciding metrics."""
        logits = run_engine(engine, self._encoded.features, engine.description.pad_token_id)
        scores = self._task.score(self._task.decode(logits, self._encoded), targets(self._encoded.examples))
        return float(np.mean([scores[name] for name in self._task.deciding]))


def export(
    options: ExportStage,
    model: str,
    output: Path | str,
    data: Data | None = None,
    *,
    console: Console | None = None,
    replace: bool = False,
) -> Manifest:
    """Write the files that engines run, and hold them against the model.

    Every file answers the golden texts alone and in batches; what it answers may differ from torch's answers no more
    than the limits allow. Texts and answers are stored beside the files, so that ``verify`` can repeat it anywhere.

    Args:
        options: formats, precisions, limits.
        model: the model directory; int8 files are taken from it, where ``quantize`` has put them.
        output: the model directory to be: the model itself, its files, golden answers, manifest.
        data: the task and its rows; without it the texts that come with PocketBERT are the gate.
        console: for progress and notes; standard error when absent.
        replace: make it anew where the folder holds a model of other inputs.

    Returns:
        The manifest of the model directory; a finished one with the same inputs is left as it is.

    Raises:
        PocketBertError: model, data and options do not fit together.
        GateBreach: a file is outside its limits; nothing is written, and its report is the verification.
    """
    console = console or Console(stderr=True)
    data = _as_long(options.data or data, options.max_length)
    if not Path(model).is_dir():
        raise ModelError(f"{model}: no such model directory; export takes one on this disk")
    files = wanted_files(options)
    if "browser" in options.formats:
        find_runtime(Path(options.packages or ""))
    prints = fingerprints(data) if data else {}
    made = [hash_file(path) for path in int8_sources(Path(model), files)]
    read = [hash_options(data), *prints.values()] if data else []
    key = hash_text("export", hash_options(options), hash_weights(model), *read, *made)
    stage = StageFolder(Path(output), key, replace)
    if stage.done:
        return stage.skip(console)
    subject = read_subject(options, model, data)
    with stage.preparing():
        checks, notes = _make(subject, files, options, stage, console)
    exports = [_describe(check, options, stage.whole) for check in checks]
    manifest = Manifest(
        stage="export",
        key=key,
        parents=[Parent(role="model", source=model, weights=subject.description.weights)],
        data=prints,
        options={"data": data and data.model_dump(mode="json"), **options.model_dump(mode="json", exclude={"data"})},
        notes=notes,
        metrics=_metrics(checks),
        exports=exports,
        files={name: hash_file(stage.whole / name) for name in _beside(stage.whole, exports)},
    )
    stage.close(manifest)
    return manifest


def _make(
    subject: Subject, files: list[Wanted], options: ExportStage, stage: StageFolder, console: Console
) -> tuple[list[FileCheck], list[str]]:
    """Write the files and hold them against the model.

    Returns:
        A check of each, and what a person should know of rows and scores.

    Raises:
        PocketBertError: the model cannot be exported; the tokenizer does not give what it was trained with.
        GateBreach: a file is outside its limits.
    """
    model = Path(subject.loaded.source)
    shutil.rmtree(stage.whole, ignore_errors=True)
    copy_model(model, stage.whole)
    golden = _make_golden(subject, options, stage.whole)
    with tempfile.TemporaryDirectory(dir=stage.work) as work:
        lengths = options.mobile_lengths
        write_files(files, subject.module, subject.description, model, stage.whole, Path(work), lengths)
    if "browser" in options.formats:
        _finish_browser(subject, golden, options, stage.folder.name, stage.whole)
    reference = _score_reference(subject)
    checks = [_check(file, reference, golden, options, stage.whole) for file in files]
    notes = [*(subject.rows.notes if subject.rows else []), *(reference.notes if reference else [])]
    for note in notes:
        console.print(note, highlight=False)
    show_checks(checks, console)
    _refuse_breaches(checks, stage.folder)
    return checks, notes


def _as_long(data: Data | None, max_length: int | None) -> Data | None:
    """The data with its rows read as the files will read them."""
    return data.model_copy(update={"max_length": max_length}) if data and max_length else data


def copy_model(source: Path, folder: Path) -> None:
    """Copy the files of a model directory itself, without what engines run and without its manifest."""
    folder.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in _NOT_OURS:
            shutil.copyfile(path, folder / path.name)


def _make_golden(subject: Subject, options: ExportStage, folder: Path) -> Golden:
    """What torch answers to the texts of the gate, each alone.

    Raises:
        ModelError: ``tokenizer.json`` alone does not give what the model was trained with.
    """
    task = subject.description.task
    kinds = {"token_classification": "words", "question_answering": "spans"}
    kind = kinds.get(task, "pair" if subject.pairs else "single")
    texts = gate_texts(kind, subject.held_out, options.texts)
    encode = TextEncoder(folder, subject.description.max_length, spans=kind == "spans")
    features = [encode(text.text, text.pair) for text in texts]
    _check_reading(texts, features, subject)
    engine = TorchEngine(subject.module, subject.description)
    answers = [condense(engine.run(collate([each], subject.description.pad_token_id))[0], task) for each in features]
    ids = [np.array([each["input_ids"], each["token_type_ids"]], dtype=np.int64) for each in features]
    golden = Golden(texts, ids, answers)
    golden.write(folder / FOLDER)
    return golden


def _check_reading(texts: list[GoldenText], features: list[Feature], subject: Subject) -> None:
    """Refuse a tokenizer whose class reads otherwise than its ``tokenizer.json``, with which the files are used."""
    tokenizer, said = subject.loaded.tokenizer, subject.description
    cut = "only_second" if said.task == "question_answering" else "longest_first"
    options: dict[str, Any] = {"truncation": cut, "max_length": said.max_length}
    for text, feature in zip(texts, features, strict=True):
        if not text.text or text.pair == "":
            continue  # nothing is read, and the class leaves out a second text that is empty
        own = tokenizer(text.text, text.pair, is_split_into_words=isinstance(text.text, list), **options)
        if own["input_ids"] != feature["input_ids"]:
            raise ModelError(
                f"{subject.loaded.source}: its tokenizer.json reads the text of the gate {text.what!r} otherwise than "
                "its tokenizer class with tokenizer_config.json does; load the right one with AutoTokenizer, and save "
                "it here with save_pretrained"
            )


def _finish_browser(subject: Subject, golden: Golden, options: ExportStage, name: str, folder: Path) -> None:
    """Make a page of the ONNX files that lie in ``browser/onnx`` already."""
    said, made = subject.description, folder / "browser"
    task = subject.rows.task if subject.rows else None
    page = BrowserPage(
        name=name,
        task=said.task,
        labels=said.labels,
        max_length=said.max_length,
        pair=subject.pairs,
        unanswerable=bool(getattr(task, "unanswerable", False)),
    )
    engine = TorchEngine(subject.module, said)
    texts = [
        PageText(text.text, text.pair, ids[0].tolist(), engine.outputs(_one_row(ids)))
        for text, ids in zip(golden.texts, golden.ids, strict=True)
        if text.what in HARD  # the folder is published: no row of the user's goes into it
    ]
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        moved = Path(work) / "onnx"
        (made / "onnx").replace(moved)
        made.rmdir()
        files = {precision: moved / Path(path).name for precision, path in BROWSER.items()}
        found = {precision: path for precision, path in files.items() if path.is_file()}
        write_browser(made, folder, found, Path(options.packages or ""), page, texts, options.limits)


def _one_row(ids: NDArray[np.int64]) -> Inputs:
    """(2, tokens) ids and types as a batch of one."""
    return {"input_ids": ids[:1], "attention_mask": np.ones_like(ids[:1]), "token_type_ids": ids[1:]}


def _check(file: Wanted, reference: _Reference | None, golden: Golden, options: ExportStage, folder: Path) -> FileCheck:
    engine = open_file(folder / file.path)
    parity = measure_parity(engine, golden)
    problems = check_parity(parity, options.limits, file.precision)
    score = reference.score_engine(engine) if reference else None
    share = kept(reference.score, score) if reference and score is not None else None
    if share is not None and not share >= options.limits.kept:
        problems.append(f"keeps {share:.2%} of the score, the limit is {options.limits.kept:.2%}")
    size = sum(path.stat().st_size for path in files_of(folder / file.path))
    return FileCheck(
        path=file.path,
        engine=engine.name,
        precision=file.precision,
        bytes=size,
        parity=parity,
        score=score,
        kept=share,
        problems=problems,
    )


def _score_reference(subject: Subject) -> _Reference | None:
    if subject.rows is None or not subject.held_out:
        return None
    encoded = encode_role(subject.rows, subject.role, subject.loaded.tokenizer)
    return _Reference(subject.rows.task, encoded, TorchEngine(subject.module, subject.description))


def _refuse_breaches(checks: list[FileCheck], output: Path) -> None:
    report = Verification(directory=str(output), files=checks, problems=[])
    breached = [check for check in checks if check.problems]
    if breached:
        lines = [f"{check.path}: {problem}" for check in breached for problem in check.problems]
        raise GateBreach(
            f"export: {counted(len(breached), 'file')} outside the limits\n  " + "\n  ".join(lines), report
        )


def _describe(check: FileCheck, options: ExportStage, folder: Path) -> ExportedFile:
    paths = files_of(folder / check.path)
    return ExportedFile(
        path=check.path,
        engine=check.engine,
        files={path.relative_to(folder).as_posix(): hash_file(path) for path in paths},
        bytes=check.bytes,
        description=open_file(folder / check.path).description.model_dump(mode="json"),
        limits=options.limits.model_dump(mode="json"),
        parity=check.parity.model_dump(mode="json") if check.parity else {},
    )


def _beside(folder: Path, exports: Iterable[ExportedFile]) -> list[str]:
    """All other files of the directory: the model itself, and what engines, pages and applications need beside."""
    own = {name for exported in exports for name in exported.files}
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return sorted(names - own)


def _metrics(checks: list[FileCheck]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for check in checks:
        metrics[f"{check.path} bytes"] = check.bytes
        if check.kept is not None:
            metrics[f"{check.path} kept"] = check.kept
    return metrics
