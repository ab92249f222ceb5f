"""The losses once more, in float64, by other formulas: explicit probabilities, log-sum-exp, distances by scipy."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cosine
from scipy.special import expit, logsumexp, rel_entr, softmax

Array = NDArray[np.float64]


def soft_targets(student: Array, teacher: Array, temperature: float) -> float:
    """Mean over rows of T² Σ p ln(p / q), p and q explicit."""
    p, q = softmax(teacher / temperature, axis=-1), softmax(student / temperature, axis=-1)
    return float(temperature**2 * rel_entr(p, q).sum(axis=-1).mean())


def binary_soft_targets(student: Array, teacher: Array, temperature: float) -> float:
    """Every label as a distribution over yes and no."""
    p, q = expit(teacher / temperature), expit(student / temperature)
    both = rel_entr(np.stack([p, 1 - p]), np.stack([q, 1 - q]))
    return float(temperature**2 * both.sum(axis=(0, 2)).mean())


def cross_entropy(logits: Array, labels: NDArray[np.int64]) -> float:
    """Mean over rows of ln Σ exp(z) - z of the true class."""
    return float(np.mean([logsumexp(row) - row[label] for row, label in zip(logits, labels, strict=True)]))


def binary_cross_entropy(logits: Array, labels: Array) -> float:
    """Mean over rows of -ln of the probability that all labels are the true ones."""
    yes = 1 / (1 + np.exp(-logits))
    return float(-np.log(np.where(labels == 1, yes, 1 - yes).prod(axis=1)).mean())


def squared_error(values: Array, targets: Array) -> float:
    """Squared length of the difference over its number of entries."""
    return float(np.linalg.norm(values - targets) ** 2 / values.size)


def cosine_distance(student: Array, teacher: Array) -> float:
    """Mean over tokens of scipy's cosine distance."""
    return float(np.mean([cosine(one, other) for one, other in zip(student, teacher, strict=True)]))


def patience(student: Array, teacher: Array) -> float:
    """Mean over rows of the squared distance of the directions."""
    one, other = (rows / np.sqrt((rows**2).sum(axis=1, keepdims=True)) for rows in (student, teacher))
    return float(((one - other) ** 2).sum(axis=1).mean())


def contrastive(student: Array, teacher: Array, temperature: float) -> float:
    """Mean over rows of minus the log of a row's own share among the exponentiated similarities."""
    similar = np.array([[1 - cosine(one, other) for other in teacher] for one in student])
    shares = np.exp(similar / temperature)
    return float(-np.mean(np.log(np.diag(shares) / shares.sum(axis=1))))


def similarities(student: Array, teacher: Array, temperature: float) -> float:
    """Mean over rows of KL(teacher, student), each a softmax of a row's similarities to the other rows."""
    rows = range(len(student))
    near = [
        [softmax([(1 - cosine(model[i], model[j])) / temperature for j in rows if j != i]) for i in rows]
        for model in (teacher, student)
    ]
    return float(np.mean([rel_entr(p, q).sum() for p, q in zip(*near, strict=True)]))


def scores(queries: Array, keys: Array, heads: int) -> list[Array]:
    """Of one sequence, (tokens, width) each: by head the products over the root of its width."""
    size = queries.shape[1] // heads
    cuts = [slice(head * size, (head + 1) * size) for head in range(heads)]
    return [queries[:, cut] @ keys[:, cut].T / np.sqrt(size) for cut in cuts]


def score_error(student: list[Array], teacher: list[Array]) -> list[float]:
    """Of one sequence, by head: for each query the mean over keys of the squared difference."""
    return [
        float(((one[q] - other[q]) ** 2).mean())
        for one, other in zip(student, teacher, strict=True)
        for q in range(len(one))
    ]


def map_divergence(student: list[Array], teacher: list[Array]) -> list[float]:
    """Of one sequence, by head: for each query KL(teacher, student) over the keys."""
    return [
        float(rel_entr(softmax(other[q]), softmax(one[q])).sum())
        for one, other in zip(student, teacher, strict=True)
        for q in range(len(one))
    ]
