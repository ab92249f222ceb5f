"""Labels as they are collected from rows."""

import pytest

from pocketbert.errors import DataError
from pocketbert.tasks.labels import MOST_FRACTIONS


def texts(labels):
    return [{"text": "x y", "label": label} for label in labels] * 2


@pytest.fixture(params=[float, str])
def fractions(request):
    """Numbers between whole ones, as typed formats and as text have them."""
    return [request.param(number + 0.857) for number in range(MOST_FRACTIONS + 1)]


@pytest.mark.parametrize("task", ["classification", "multi_label"])
def test_a_column_of_numbers_is_no_column_of_labels(task, fractions, rows, make):
    message = (
        r"train\.csv row 1: column 'label' has numbers such as 0\.857, 103 different ones; set data\.task: regression, "
        r"or name them in data\.labels if each is a label"
    )
    with pytest.raises(DataError, match=message):
        make(task, text="text", label="label").fit(rows(*texts([*fractions, 1, 2])))


@pytest.mark.parametrize("task", ["classification", "multi_label"])
def test_numbers_are_labels_where_the_recipe_says_so(task, fractions, rows, make):
    names = [str(label) for label in fractions]
    fitted = make(task, text="text", label="label", labels=names)
    data = rows(*texts(fractions))
    fitted.fit(data)
    assert fitted.labels == names and len(fitted.examples(data)) == len(data)


@pytest.mark.parametrize(
    "labels",
    [
        range(3 * MOST_FRACTIONS),
        [number + 0.5 for number in range(MOST_FRACTIONS)],
        [f"{number}.5" for number in range(MOST_FRACTIONS + 1)] + ["V45.81"],
    ],
    ids=["whole", "few", "codes"],
)
def test_whole_numbers_a_few_fractions_and_codes_are_labels(labels, rows, make):
    task = make("classification", text="text", label="label")
    task.fit(rows(*texts(labels)))
    assert len(task.labels) == len(labels)
