"""Matching: comparing the inside of a student with that of its teacher, whatever the shapes of the two."""

from pocketbert.distill.matching.base import Comparison, Match, Models, Shape, Step
from pocketbert.distill.matching.layers import Pairs, pair_layers
from pocketbert.distill.matching.matching import MATCHES, Matching

__all__ = ["MATCHES", "Comparison", "Match", "Matching", "Models", "Pairs", "Shape", "Step", "pair_layers"]
