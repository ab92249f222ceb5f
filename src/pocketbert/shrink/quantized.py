"""What int8 files are worth, for the manifest and for people."""

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from pocketbert.measure.results import Result
from pocketbert.measure.wording import counted, file_size, percent, score


class QuantizedFile(Result):
    """An int8 file, measured.

    Attributes:
        engine: that runs it.
        path: from the model directory.
        bytes: on disk, with what belongs to it.
        score: on the validation rows.
        kept: share of the fp32 score; None where that is not above zero.
        agreement: with the fp32 model, on the texts of the calibration.
        held: whether the gate holds.
        higher: layers that stayed in fp32, the most sensitive first.
        difference: largest difference of a logit from fp32, as a share of the largest logit.
        flips: share of the answers that changed.
        batch_mates: largest difference of a logit in a batch from the same text alone, as a share.
    """

    engine: str
    path: str
    bytes: int
    score: float
    kept: float | None
    agreement: float
    held: bool
    higher: list[str]
    difference: float
    flips: float
    batch_mates: float


class Quantization(Result):
    """A model and its int8 files.

    Attributes:
        score: of the fp32 model on the validation rows.
        bytes: of the fp32 weights on disk.
        examples: validation rows.
        texts: that ranges were measured on.
        least: share of the score that is enough.
        files: by engine.
    """

    score: float
    bytes: int
    examples: int
    texts: int
    least: float
    files: list[QuantizedFile]

    @property
    def held(self) -> bool:
        """Whether the gate holds for every file."""
        return all(file.held for file in self.files)


def quantization_table(made: Quantization) -> Table:
    """The model and its files, a row each."""
    title = f"int8: {made.examples:,} validation rows, ranges from {made.texts:,} training rows"
    name = Column("", overflow="fold")  # cut short, names would be the same
    titles = ["bytes", "score", "kept", "same", "off by", "in batch", "in fp32"]
    table = Table(name, *titles, title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_row("fp32 weights", file_size(made.bytes), score(made.score), *[""] * 5)
    for file in made.files:
        measured = (file.difference, file.batch_mates)
        table.add_row(
            file.path,
            file_size(file.bytes),
            score(file.score),
            "–" if file.kept is None else percent(file.kept),
            percent(file.agreement),
            *(f"{share:.2%}" for share in measured),
            counted(len(file.higher), "layer") if file.higher else "",
        )
    return table


def describe_file(file: QuantizedFile) -> str:
    """A file in a sentence: ``openvino: 99.7 % kept, 3.3 MB; in fp32: classifier``."""
    kept = "no score to keep" if file.kept is None else f"{percent(file.kept)} kept"
    higher = f"; in fp32: {', '.join(file.higher)}" if file.higher else ""
    return f"{file.engine}: {kept}, {file_size(file.bytes)}{higher}"


def describe_breaches(made: Quantization) -> str:
    """The files that do not hold the gate, and by how much."""
    lines = []
    for file in made.files:
        if not file.held:
            kept = "" if file.kept is None else f"keeps {file.kept:.2%} of the fp32 score, "
            lines.append(
                f"{file.engine}: {kept}answers {file.agreement:.2%} of {made.texts:,} texts alike with "
                f"{len(file.higher)} layers in fp32; the gate is {made.least:.2%}"
            )
    return "\n  ".join(lines)
