"""Bulk scoring: many rows in, the same rows out with predictions, whatever happens in between."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketbert.predict.predicting import predict
    from pocketbert.predict.results import Predicted

__all__ = ["Predicted", "predict"]


def __getattr__(name: str) -> Any:
    """What is imported when it is first asked for: the command line reads the options alone, for its flags."""
    if name == "predict":
        from pocketbert.predict.predicting import predict

        return predict
    if name == "Predicted":
        from pocketbert.predict.results import Predicted

        return Predicted
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
