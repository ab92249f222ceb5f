"""Which fields of a recipe a search varies, and for how long."""

from typing import Any

from pydantic import Field, model_validator

from pocketbert.recipe.sections import Seconds, Section


class SearchedField(Section):
    """The values that a searched field may have: those between two numbers, or a few named ones."""

    low: float | None = Field(None, description="least value")
    high: float | None = Field(None, description="greatest value")
    log: bool = Field(False, description="as likely between 1 and 10 as between 10 and 100")
    step: float | None = Field(None, gt=0, description="from one value to the next, counted from low")
    choices: list[Any] | None = Field(None, min_length=1, description="instead of low and high: the values themselves")

    @model_validator(mode="after")
    def _numbers_or_choices(self) -> "SearchedField":
        numbers = self.low is not None and self.high is not None
        if numbers == (self.choices is not None) or (self.low is None) != (self.high is None):
            raise ValueError("name low and high, or choices")
        if self.choices is not None and (self.log or self.step is not None):
            raise ValueError("log and step are of numbers between low and high, not of choices")
        return self

    @model_validator(mode="after")
    def _in_order(self) -> "SearchedField":
        if self.low is None or self.high is None:
            return self
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is above high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs numbers above 0, but low is {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("name one of log and step")
        return self


class Tune(Section):
    """A search over fields of the recipe for the best validation score."""

    space: dict[str, SearchedField] = Field(min_length=1, description="the searched fields, by their path")
    trials: int = Field(20, gt=0, description="how many sets of values are tried")
    budget: Seconds | None = Field(None, description="time after which no trial begins: 90s, 20m, 3h")
    seed: int = Field(0, ge=0, lt=2**32, description="of the values that are tried")
