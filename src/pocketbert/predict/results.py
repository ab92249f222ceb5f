"""What bulk scoring returns."""

from pydantic import BaseModel

from pocketbert.predict.plan import Fingerprint


class Predicted(BaseModel):
    """A finished output.

    Attributes:
        output: the file, or the folder of parts.
        failed_file: the rows without prediction, each with the reason; None where there are none.
        rows: in the output.
        failed: rows without prediction.
        parts: that it was computed in.
        computed: rows that this run computed, failed ones included; what was there before is not computed again.
        seconds: that this run took, loading the model included.
        rows_per_second: of the rows that this run computed.
    """

    output: str
    failed_file: str | None
    rows: int
    failed: int
    parts: int
    computed: int
    seconds: float
    rows_per_second: float


class Record(BaseModel):
    """What lies beside an output, as ``OUTPUT.manifest.json``: where it came from.

    Attributes:
        fingerprint: all that its bytes depend on.
        model: where the model lay.
        engine: the file that ran, from there.
        columns: which column held what.
        rows: in the output.
        failed: rows without prediction.
        parts: that it was computed in.
    """

    fingerprint: Fingerprint
    model: str
    engine: str
    columns: dict[str, str]
    rows: int
    failed: int
    parts: int
