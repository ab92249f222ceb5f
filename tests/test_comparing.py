"""What a run has measured is known again by all that it depends on."""

import pytest
import torch
from rich.console import Console

import tiny
from pocketbert.measure.bench_results import Bench, Sample
from pocketbert.measure.evaluation import comparison_key
from pocketbert.measure.language import text_comparison_key
from pocketbert.pipeline import comparing
from pocketbert.recipe import Data, DistillStage


@pytest.fixture
def torch_threads():
    """Sets torch's threads, until the test has ended."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_a_measurement_is_of_the_threads_of_the_run(tmp_path, monkeypatch, torch_threads):
    """The chain, rows and text: each again where the recipe names other threads, and then no more."""
    found = Sample(source="rows", texts=1, tokens_p50=8, tokens_p95=8, batch_tokens=8)

    def bench(models, against, data, *, threads, **_options):
        return Bench(models=[], sample=found, lengths=[32], batch_sizes=[1], threads=threads, seconds=1.0, notes=[])

    monkeypatch.setattr(comparing, "bench", bench)
    data = Data(task="classification", train=str(tiny.write_reviews(tmp_path / "train.csv", 4)))
    text = DistillStage(corpus=str(tiny.write_text(tmp_path / "text.txt", 4)))
    made = []
    for threads in (3, 3, 1):
        torch_threads(threads)
        chain = comparing.bench_once(tmp_path, [], data, Console(quiet=True))
        assert chain.threads == [threads]
        made.append((chain.created, comparison_key({}, data), text_comparison_key({}, text)))
    assert made[0] == made[1] and all(one != other for one, other in zip(made[1], made[2], strict=True))
