"""What every loss checks and divides by."""

from torch import Tensor


def divisor(rows: Tensor, count: Tensor | float | None) -> Tensor | float:
    """What a sum over rows is divided by: ``count``, else how many rows there are."""
    return max(rows.shape[0], 1) if count is None else count


def check_shapes(student: Tensor, teacher: Tensor) -> None:
    """Refuse tensors of two shapes.

    Raises:
        ValueError: they differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} differ in shape")


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that divides by nothing, or turns the order round.

    Raises:
        ValueError: it is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it has to be positive")
