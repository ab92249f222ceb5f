"""Which layer of the student is compared with which of the teacher."""

from pocketbert.errors import PocketBertError
from pocketbert.recipe import LayerMap

Pairs = list[tuple[int, int]]
"""A layer of the student and one of the teacher, counted from 0."""


def pair_layers(layer_map: LayerMap, student: int, teacher: int) -> Pairs:
    """The layers that are compared.

    Args:
        layer_map: ``uniform`` spreads the student's layers over the teacher's, so that the last are compared with one
            another (Jiao et al. 2020; Sun et al. 2019, PKD-Skip); ``last`` compares them with the teacher's last ones
            (PKD-Last); ``top`` compares the last layer of both alone; or the pairs themselves.
        student: layers of the student.
        teacher: layers of the teacher.

    Raises:
        PocketBertError: a pair names a layer that is not there, or there are too few layers.
    """
    if isinstance(layer_map, list):
        for own, theirs in layer_map:
            if not (0 <= own < student and 0 <= theirs < teacher):
                raise PocketBertError(
                    f"layer_map: [{own}, {theirs}] is no pair of a student's layer, 0 to {student - 1}, and a "
                    f"teacher's, 0 to {teacher - 1}"
                )
        return layer_map
    if layer_map == "top":
        return [(student - 1, teacher - 1)]
    if student > teacher:
        raise PocketBertError(
            f"layer_map {layer_map}: a student of {student} layers has more than its teacher, {teacher}; name the pairs"
        )
    if layer_map == "last":
        return [(layer, teacher - student + layer) for layer in range(student)]
    return [(layer, round((layer + 1) * teacher / student) - 1) for layer in range(student)]
