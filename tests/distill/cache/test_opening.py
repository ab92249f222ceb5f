"""Trained from a cache, a student is the one that its teacher stood beside; and the cache holds just what is needed."""

import io
import json
import math
import shutil
import subprocess
import sys

import jobs
import numpy as np
import pytest
from rich.console import Console

import tiny
from pocketbert import bars
from pocketbert.data.order import Position
from pocketbert.distill import trainer
from pocketbert.distill.cache import asking, filling, opening
from pocketbert.distill.trainer import train
from pocketbert.errors import Interrupted, PocketBertError
from pocketbert.recipe import DistillStage, Losses

MASKED_LM = Losses(soft_targets=5.0, masked_lm=2.0, cosine=1.0)
ALL = 1000
"""More pieces than there are: each is told by itself."""


def text_job(folder, losses=MASKED_LM, **options):
    return jobs.masked_lm_job(folder, losses, **{"batch_size": 8, "steps": 12, **options})


def index_of(folder):
    return json.loads((folder / "index.json").read_text())


@pytest.mark.parametrize("top_k", [None, ALL])
@pytest.mark.parametrize("soft_positions", ["masked", "all"])
def test_with_every_piece_kept_the_losses_are_those_of_the_teacher_beside(tmp_path, soft_positions, top_k):
    """Within the rounding of 8 bits and of fp16; over two epochs, so that masks come again."""
    online = jobs.run(text_job(tmp_path / "1", soft_positions=soft_positions, documents=12))
    job = jobs.cached(
        text_job(tmp_path / "2", soft_positions=soft_positions, documents=12), tmp_path / "c", top_k=top_k, epochs=9
    )
    cached = jobs.run(job)
    for one, other in zip(online[0], cached[0], strict=True):
        for name in ("loss_soft_targets", "loss_masked_lm", "loss_cosine"):
            assert other[name] == pytest.approx(one[name], rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("task", ["classification", "token_classification"])
def test_the_logits_of_a_task_are_kept_as_they_are(tmp_path, task):
    losses = Losses(soft_targets=1.0, labels=0.5, logit_mse=0.1)
    online = jobs.run(jobs.task_job(tmp_path / "1", task, losses, batch_size=8, steps=12))
    job = jobs.cached(jobs.task_job(tmp_path / "2", task, losses, batch_size=8, steps=12), tmp_path / "c")
    found = jobs.differences(online, jobs.run(job))
    # The teacher was asked in other batches.
    assert found[0] < 1e-6 and found[1] < 1e-5
    assert index_of(tmp_path / "c")["entries"] == len(job.data)  # once a row, in whatever number of epochs


def test_states_of_rows_of_unequal_length_come_back_in_their_places(tmp_path):
    losses = Losses(soft_targets=1.0, hidden=0.1, embeddings=0.1, patience=0.1, cosine=0.1)
    online = jobs.run(jobs.task_job(tmp_path / "1", "classification", losses, batch_size=8, steps=8))
    job = jobs.cached(jobs.task_job(tmp_path / "2", "classification", losses, batch_size=8, steps=8), tmp_path / "c")
    losses, _ = jobs.differences(online, jobs.run(job))
    assert losses < 2e-3


def test_how_far_what_is_kept_is_from_saying_all_is_measured(tmp_path):
    for name, top_k in (("few", 4), ("more", 40), ("all", None)):
        jobs.cached(text_job(tmp_path / "1"), tmp_path / name, top_k=top_k)
    few, more, whole = (index_of(tmp_path / name)["error"] for name in ("few", "more", "all"))
    assert few["full"] == pytest.approx(more["full"], rel=1e-6) == pytest.approx(whole["full"], rel=1e-6)
    assert 0 < whole["deviation"] < more["deviation"] / 10 < few["deviation"] / 10
    assert whole["kept"] == pytest.approx(whole["full"], rel=1e-2) and whole["rest"] == 0
    assert few["kept"] == pytest.approx(few["full"], abs=few["deviation"])
    assert 0 < more["rest"] < few["rest"] < 1


def test_a_few_pieces_and_some_that_are_drawn_teach_what_all_would(tmp_path):
    """The logged loss is off by no more than the stated deviation allows for so many positions."""
    only = Losses(soft_targets=1.0)
    online = jobs.run(text_job(tmp_path / "1", only, steps=40))
    cached = jobs.run(jobs.cached(text_job(tmp_path / "2", only, steps=40), tmp_path / "c", top_k=8, epochs=20))
    off = [other["loss"] - one["loss"] for one, other in zip(online[0], cached[0], strict=True)]
    # Eight blocks of 16 tokens have two hidden tokens each.
    stated = index_of(tmp_path / "c")["error"]["deviation"] / math.sqrt(8 * 2)
    assert np.sqrt(np.mean(np.square(off))) < 2 * stated
    assert abs(np.mean(off)) < stated


@pytest.mark.parametrize("top_k", [None, 8])
def test_accumulation_changes_nothing(tmp_path, top_k):
    runs = [
        jobs.run(
            jobs.cached(
                text_job(tmp_path / str(size), batch_size=size, accumulation=8 // size, steps=6, learning_rate=1e-4),
                tmp_path / "c",
                top_k=top_k,
            )
        )
        for size in (8, 2)
    ]
    losses, weights = jobs.differences(*runs)
    assert losses < 1e-5 and weights < 1e-6


@pytest.mark.parametrize("top_k", [None, 8])
def test_a_stopped_run_ends_in_the_same_weights(tmp_path, top_k):
    options = {"documents": 12, "steps": 20, "dropout": 0.2}
    whole = jobs.cached(text_job(tmp_path / "1", **options), tmp_path / "c", top_k=top_k)
    train(whole)
    stopped = jobs.cached(text_job(tmp_path / "2", **options), tmp_path / "c", top_k=top_k)
    jobs.stop_at(stopped, 9)
    with pytest.raises(Interrupted):
        train(stopped)
    again = jobs.cached(text_job(tmp_path / "2", **options), tmp_path / "c", top_k=top_k)
    train(again)
    assert jobs.largest_difference(whole.model.state_dict(), again.model.state_dict()) == 0


def test_masks_come_again_after_the_epochs_that_are_kept(tmp_path):
    data = jobs.cached(text_job(tmp_path / "1", steps=40, documents=12), tmp_path / "c", top_k=4, epochs=2).data
    masked = [data[Position(epoch, 1)]["input_ids"] for epoch in range(4)]
    assert np.array_equal(masked[0], masked[2]) and np.array_equal(masked[1], masked[3])
    assert not np.array_equal(masked[0], masked[1])


def test_only_samples_that_the_run_sees_are_asked_about_and_a_longer_one_adds_to_them(tmp_path):
    def entries(steps):
        jobs.cached(text_job(tmp_path / "1", batch_size=4, steps=steps), tmp_path / "c", top_k=4)
        return index_of(tmp_path / "c")["entries"]

    blocks = len(text_job(tmp_path / "1").data)
    assert entries(2) == entries(1) == 3 * 4  # and a batch that the loader reads ahead
    assert entries(5) == 6 * 4
    assert entries(1000) == blocks


def test_a_full_cache_asks_nobody(tmp_path, monkeypatch):
    jobs.cached(text_job(tmp_path / "1"), tmp_path / "c")
    monkeypatch.setattr(opening, "OnlineSignals", None)
    jobs.run(jobs.cached(text_job(tmp_path / "2"), tmp_path / "c"))


def test_losses_that_need_less_share_a_cache(tmp_path):
    jobs.cached(text_job(tmp_path / "1"), tmp_path / "c", top_k=4)
    jobs.run(jobs.cached(text_job(tmp_path / "2", Losses(cosine=1.0), steps=30), tmp_path / "c"))
    jobs.run(jobs.cached(text_job(tmp_path / "3", Losses(soft_targets=1.0)), tmp_path / "c", top_k=4))


def test_other_contents_are_refused(tmp_path):
    jobs.cached(text_job(tmp_path / "1", Losses(soft_targets=1.0)), tmp_path / "c", top_k=4)
    with pytest.raises(PocketBertError, match=r"keeps top 4 of masked positions .* but the run needs top 5"):
        jobs.cached(text_job(tmp_path / "2", Losses(soft_targets=1.0)), tmp_path / "c", top_k=5)
    with pytest.raises(
        PocketBertError, match=r"needs .*the outputs of layers \[1\]; delete it, or name another folder"
    ):
        jobs.cached(text_job(tmp_path / "2"), tmp_path / "c", top_k=4)


def test_another_precision_is_refused(tmp_path):
    jobs.cached(text_job(tmp_path / "1"), tmp_path / "c", top_k=4)
    with pytest.raises(PocketBertError, match=r"another precision \(fp32, not bf16\)"):
        jobs.cached(text_job(tmp_path / "2", precision="bf16"), tmp_path / "c", top_k=4)


def test_a_cache_of_another_version_is_refused(tmp_path):
    jobs.cached(text_job(tmp_path / "1"), tmp_path / "c")
    index = index_of(tmp_path / "c")
    del index["version"]
    (tmp_path / "c" / "index.json").write_text(json.dumps(index))
    with pytest.raises(PocketBertError, match="written by another version of PocketBERT; delete it"):
        jobs.cached(text_job(tmp_path / "2"), tmp_path / "c")


def test_a_broken_index_is_refused(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "index.json").write_text("{")
    with pytest.raises(PocketBertError, match="not the index of a cache; delete the folder"):
        jobs.cached(text_job(tmp_path / "1"), tmp_path / "c")


def test_attention_is_refused_by_the_name_of_its_loss(tmp_path):
    with pytest.raises(PocketBertError, match=r"losses.relations compares attention, .*set signals: online"):
        jobs.cached(text_job(tmp_path / "1", Losses(relations=1.0)), tmp_path / "c")


def test_what_some_pieces_cannot_tell_is_refused_and_all_of_them_tell(tmp_path):
    losses = Losses(soft_targets=1.0, logit_mse=0.1)
    with pytest.raises(PocketBertError, match=r"losses.logit_mse compares .* leave cache.top_k out, or take"):
        jobs.cached(text_job(tmp_path / "1", losses), tmp_path / "c", top_k=4)
    online = jobs.run(text_job(tmp_path / "1", losses))
    cached = jobs.run(jobs.cached(text_job(tmp_path / "2", losses), tmp_path / "c", epochs=9))
    for one, other in zip(online[0], cached[0], strict=True):
        assert other["loss_logit_mse"] == pytest.approx(one["loss_logit_mse"], rel=2e-3)


def test_phases_of_several_temperatures_need_all_pieces(tmp_path):
    job = text_job(tmp_path / "1", Losses(soft_targets=1.0))
    other = text_job(tmp_path / "2", Losses(soft_targets=1.0)).objective
    other.temperature = 1.0
    with pytest.raises(PocketBertError, match=r"several temperatures \(1, 2\), but cache.top_k keeps pieces at one"):
        jobs.cached(job, tmp_path / "c", [job.objective, other], top_k=4)
    jobs.cached(job, tmp_path / "c", [job.objective, other])


def test_a_disk_that_would_not_hold_it_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    monkeypatch.setattr(asking, "TOKENS_PER_BATCH", 16)
    with pytest.raises(PocketBertError, match=r"the cache takes 0\.0 GB more, but 0.0 GB are free there"):
        jobs.cached(text_job(tmp_path / "1"), tmp_path / "c")


def test_the_teacher_is_asked_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "TOKENS_PER_BATCH", 16)
    job = text_job(tmp_path / "1")
    jobs.stop_at(job, 3)
    with pytest.raises(Interrupted, match="stopped by SIGTERM with the teacher's word on 3 of"):
        jobs.cached(job, tmp_path / "c", top_k=4)
    assert index_of(tmp_path / "c")["entries"] == 3


def test_progress_is_told_where_there_is_no_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "TOKENS_PER_BATCH", 16)
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "QUIET", Console(file=io.StringIO(), width=200))
    jobs.cached(text_job(tmp_path / "1"), tmp_path / "c", top_k=4)
    told = jobs.QUIET.file.getvalue()
    entries = index_of(tmp_path / "c")["entries"]
    assert f"asking the teacher: {entries:,} of {entries:,} samples" in told and "0:00:00 left" in told
    assert "bytes a token; the top 4 and as many of the rest (" in told


def test_the_weights_of_a_student_do_not_depend_on_who_asked(tmp_path):
    """Asking draws no random number that the training would have drawn."""
    jobs.cached(text_job(tmp_path / "1", dropout=0.2), tmp_path / "c")
    first = jobs.run(jobs.cached(text_job(tmp_path / "2", dropout=0.2), tmp_path / "d"))
    second = jobs.run(jobs.cached(text_job(tmp_path / "3", dropout=0.2), tmp_path / "c"))
    assert jobs.largest_difference(first[1], second[1]) == 0


def test_nor_on_that_it_asked_in_another_precision_than_it_learns_in(tmp_path, monkeypatch):
    """The head that makes logits of what was kept is the one that said it, also where it is read in fp32."""
    jobs.cached(text_job(tmp_path / "1", steps=2, precision="bf16"), tmp_path / "c")
    monkeypatch.setattr(trainer, "settle_precision", lambda *_: "fp32")
    asking, reading = (
        jobs.run(jobs.cached(text_job(tmp_path / name, precision="auto"), tmp_path / "c")) for name in ("2", "3")
    )
    assert jobs.largest_difference(asking[1], reading[1]) == 0


HOLDING = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(2)
"""


def test_a_run_waits_for_another_one_that_fills_the_same_cache(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    folder.mkdir()
    monkeypatch.setattr(jobs, "QUIET", Console(file=io.StringIO(), width=400))
    job = text_job(tmp_path / "1")
    with subprocess.Popen([sys.executable, "-c", HOLDING, folder / "lock"], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        jobs.cached(job, folder, top_k=4)
    assert f"{folder}: another run is filling this cache; waiting for it" in jobs.QUIET.file.getvalue()
    assert index_of(folder)["entries"] > 0


@pytest.mark.parametrize("top_k", [None, 8])
def test_a_run_that_wants_less_fills_a_cache_with_all_that_it_keeps(tmp_path, top_k):
    """Where logits are kept is the cache's business: the next run may look there."""
    wants_all = {"losses": Losses(soft_targets=1.0, cosine=1.0), "soft_positions": "all"}
    jobs.cached(text_job(tmp_path / "1", **wants_all, steps=2), tmp_path / "c", top_k=top_k)
    jobs.cached(text_job(tmp_path / "2", Losses(cosine=1.0), steps=12), tmp_path / "c", top_k=top_k)
    shared = jobs.cached(text_job(tmp_path / "3", **wants_all), tmp_path / "c", top_k=top_k)
    fresh = jobs.cached(text_job(tmp_path / "4", **wants_all), tmp_path / "d", top_k=top_k)
    assert jobs.differences(jobs.run(shared), jobs.run(fresh)) == (0, 0)


def test_each_precision_has_a_folder_of_its_own(tmp_path):
    for precision in ("fp32", "bf16", "fp32"):
        job = text_job(tmp_path / "run", steps=2, precision=precision)
        options = DistillStage(**job.options.model_dump(), signals="cached")
        opening.SignalCache(options, tiny.make_tokenizer("bert"), tmp_path, jobs.QUIET).take_over(job, [job.objective])
    assert len(list((tmp_path / opening.SIGNALS).iterdir())) == 2


def test_a_file_is_no_folder_for_a_cache(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(PocketBertError, match="c: a file, where a folder is needed; name another place"):
        jobs.cached(text_job(tmp_path / "1"), tmp_path / "c")


def test_a_cache_that_was_cut_off_is_called_damaged(tmp_path):
    jobs.cached(text_job(tmp_path / "1"), tmp_path / "c")
    shard = next((tmp_path / "c").glob("logits-*.bin"))
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(PocketBertError, match=r"logits-00000\.bin: shorter than its index says"):
        jobs.run(jobs.cached(text_job(tmp_path / "1"), tmp_path / "c"))


def test_a_stop_in_the_last_batch_is_a_stop(tmp_path):
    job = text_job(tmp_path / "1", documents=12, steps=2)
    jobs.stop_at(job, 1)
    with pytest.raises(Interrupted, match="the teacher's word on 14 of 14 samples; it is kept"):
        jobs.cached(job, tmp_path / "c")


def test_the_room_for_rows_is_reckoned_by_their_tokens(tmp_path, monkeypatch):
    """The longest rows come first; the others do not take as much."""
    wanted = []
    monkeypatch.setattr(asking, "TOKENS_PER_BATCH", 32)
    check = filling._check_room
    monkeypatch.setattr(filling, "_check_room", lambda *parts: wanted.append(parts) or check(*parts))
    losses = Losses(hidden=1.0)
    jobs.cached(jobs.task_job(tmp_path / "1", "classification", losses), tmp_path / "c")
    [(_, size)] = wanted
    whole = sum(path.stat().st_size for path in (tmp_path / "c").glob("layer*.bin"))
    assert size == pytest.approx(whole, rel=0.02)
