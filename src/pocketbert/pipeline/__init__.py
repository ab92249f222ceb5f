"""The whole chain: each stage as a function, and ``run``, which walks a recipe.

A stage whose inputs have not changed is skipped, one that was killed goes on, and a run ends with its report.
"""

from pocketbert.distill.distillation import distill
from pocketbert.distill.finetune import finetune
from pocketbert.distill.pretrain import pretrain
from pocketbert.export.exporting import export
from pocketbert.export.verification import verify
from pocketbert.measure.bench import bench
from pocketbert.measure.evaluation import compare, evaluate
from pocketbert.pipeline.running import run
from pocketbert.pipeline.tuning import tune
from pocketbert.shrink.prune import prune
from pocketbert.shrink.quantize import quantize
from pocketbert.shrink.vocabulary import trim

__all__ = [
    "bench",
    "compare",
    "distill",
    "evaluate",
    "export",
    "finetune",
    "pretrain",
    "prune",
    "quantize",
    "run",
    "trim",
    "tune",
    "verify",
]
