"""The gate repeated: are the files of a directory still what they were, and do they answer here as they did there?

Nothing here needs torch: a model directory is verified where it is used.
"""

from pathlib import Path

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from pocketbert.engines.choice import ENGINES, choose, understand
from pocketbert.engines.description import Description
from pocketbert.engines.exported import open_file
from pocketbert.engines.golden import FOLDER, Golden
from pocketbert.engines.parity import Parity, check_parity, check_tokenizer, measure_parity
from pocketbert.errors import DataError, GateBreach, ModelError, NotInstalled
from pocketbert.files import hash_file
from pocketbert.manifest import NAME, ExportedFile, Manifest, hash_weights, read_manifest
from pocketbert.measure.wording import counted, file_size


class FileCheck(BaseModel):
    """A file held against its limits.

    Attributes:
        path: from the model directory.
        engine: that ran it.
        precision: of the file.
        bytes: on disk, with what belongs to it.
        parity: None where it could not be run.
        score: on held-out rows; None where there were none.
        kept: share of torch's score.
        problems: what is wrong, a sentence each; empty for a good file.
        skipped: why it was not run here; None where it was.
    """

    path: str
    engine: str
    precision: str
    bytes: int
    parity: Parity | None = None
    score: float | None = None
    kept: float | None = None
    problems: list[str] = []
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        """Whether it was run and nothing is wrong with it."""
        return not self.problems and self.skipped is None


class Verification(BaseModel):
    """A model directory verified.

    Attributes:
        directory: which.
        files: its exported files.
        problems: of the other files of the directory: the model itself, its tokenizer, golden answers.
        preferred: the file that a program on this processor should load, of those that are right; None without one.
    """

    directory: str
    files: list[FileCheck]
    problems: list[str]
    preferred: str | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(file.problems for file in self.files)


def verify(model: Path | str, *, console: Console | None = None) -> Verification:
    """Repeat the gate of ``export`` on a model directory, from its manifest alone.

    Hashes of all files, what the files say of themselves, what the tokenizer gives, and the answers to the golden
    texts, alone and in batches.

    Args:
        model: a directory that ``export`` made.
        console: for the table; standard error when absent.

    Raises:
        ModelError: it is no exported model directory.
        NotInstalled: none of its files can be run here.
        GateBreach: something is wrong; its report is the verification.
    """
    folder = Path(model)
    manifest = read_manifest(folder)
    if manifest is None or not manifest.exports:
        raise ModelError(f"{folder}: holds no exported files; make them with pocketbert export")
    shared, (first, _) = _check_model(folder, manifest), understand(folder, manifest.exports[0])
    try:
        golden = Golden.read(folder / FOLDER)
        shared += check_tokenizer(golden, folder, first.max_length, first.task == "question_answering")
    except (ModelError, DataError) as error:  # without them nothing can be answered
        found = Verification(directory=str(folder), files=[], problems=[*shared, str(error)])
        raise GateBreach(_describe(found), found) from None
    files = {exported.path: _check_file(folder, exported, golden) for exported in manifest.exports}
    found = Verification(
        directory=str(folder),
        files=list(files.values()),
        problems=shared,
        preferred=_prefer(folder, [each for each in manifest.exports if files[each.path].passed], golden),
    )
    show_checks(found.files, console or Console(stderr=True))
    if not found.passed:
        raise GateBreach(_describe(found), found)
    if all(file.skipped for file in found.files):
        raise NotInstalled("; ".join(file.skipped for file in found.files if file.skipped))
    return found


def show_checks(checks: list[FileCheck], console: Console) -> None:
    """The table of what was found, and the worst texts of files outside their limits."""
    scored = any(check.kept is not None for check in checks)
    # Cut short, names would be the same; folded on two lines they are not.
    name = Column("file", overflow="fold")
    titles = ["bytes", "off by", "changed", "in batch", *(["kept"] if scored else [])]
    table = Table(name, *titles, Column("", no_wrap=True), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for check in checks:
        parity = check.parity
        cells = (
            [f"{parity.relative:.2%}", f"{parity.flips} of {parity.answers:,}", f"{parity.relative_batch_mates:.2%}"]
            if parity
            else ["–"] * 3
        )
        kept = [f"{check.kept:.2%}" if check.kept is not None else "–"] if scored else []
        verdict = "breached" if check.problems else "not run" if check.skipped else "held"
        table.add_row(check.path, file_size(check.bytes), *cells, *kept, verdict)
    console.print(table)
    for check in checks:
        if check.problems and check.parity:
            console.print(f"{check.path}: the texts that moved most", highlight=False)
            for text in check.parity.worst:
                flipped = ", another answer" if text.flipped else ""
                console.print(
                    f"  {text.difference:.4f}{flipped}  {text.what}: {text.text!r}", highlight=False, markup=False
                )


def _prefer(folder: Path, exports: list[ExportedFile], golden: Golden) -> str | None:
    """The path of the fastest file of a server's engines; None where there is none."""
    return choose(folder, exports, golden)[0].path if any(each.engine in ENGINES for each in exports) else None


def _check_file(folder: Path, exported: ExportedFile, golden: Golden) -> FileCheck:
    said, limits = understand(folder, exported)
    check = FileCheck(path=exported.path, engine=exported.engine, precision=said.precision, bytes=exported.bytes)
    check.problems += _changed(folder, exported.files)
    if exported.path not in exported.files:
        check.problems.append("the manifest has no hash of it")
    try:
        engine = open_file(folder / exported.path)
        check.parity = measure_parity(engine, golden)  # some damage shows only when a file runs
    except NotInstalled as error:
        check.skipped = str(error)
        return check
    except ModelError as error:
        check.problems.append(str(error))
        return check
    says = engine.description
    check.problems += [
        f"says {name} {getattr(says, name)!r}, the manifest {getattr(said, name)!r}"
        for name in Description.model_fields
        if getattr(says, name) != getattr(said, name)
    ]
    check.problems += check_parity(check.parity, limits, said.precision)
    return check


def _check_model(folder: Path, manifest: Manifest) -> list[str]:
    """Whether all but the exported files is what it was; the files tell by a hash of which model they were made.

    Raises:
        ModelError: the manifest lists an exported file twice.
    """
    paths = [exported.path for exported in manifest.exports]
    if twice := {path for path in paths if paths.count(path) > 1}:
        raise ModelError(f"{folder / NAME}: lists {', '.join(sorted(twice))} twice; export it again")
    found = _changed(folder, manifest.files)
    if not found and any(
        exported.description.get("weights") != hash_weights(str(folder)) for exported in manifest.exports
    ):
        found.append("the model's weights, configuration or tokenizer are not those that the files were made from")
    return found


def _changed(folder: Path, hashes: dict[str, str]) -> list[str]:
    """Files that are missing or not the ones that were written."""
    found = []
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            found.append(f"{name} is missing")
        elif hash_file(folder / name) != expected:
            found.append(f"{name} is not the file that was exported")
    return found


def _describe(found: Verification) -> str:
    lines = [*found.problems, *(f"{file.path}: {problem}" for file in found.files for problem in file.problems)]
    return f"{found.directory}: {counted(len(lines), 'problem')}\n  " + "\n  ".join(lines)
