"""Which windows go next, and together."""

from hypothesis import given
from hypothesis import strategies as st
from workers import window

from pocketbert.serve.waiting import SPREAD, Job, Waiting, whole_size


def waiting_of(lengths):
    waiting = Waiting()
    jobs = [Job(None, 0, window(number), length, number) for number, length in enumerate(lengths)]
    for job in jobs:
        waiting.add(job)
    return waiting, jobs


def test_the_oldest_goes_first_with_others_of_its_length():
    waiting, _ = waiting_of([16, 64, 16, 64, 16])
    assert [job.number for job in waiting.take(64)] == [0, 2, 4]
    assert [job.number for job in waiting.take(128)] == [1, 3]


def test_shorter_ones_of_like_length_fill_a_batch():
    waiting, _ = waiting_of([32, 24, 16, 32])
    assert [job.number for job in waiting.take(96)] == [0, 3, 1]
    assert [job.number for job in waiting.take(96)] == [2]


def test_one_that_is_longer_than_a_batch_goes_alone():
    waiting, _ = waiting_of([128, 128])
    assert [job.number for job in waiting.take(64)] == [0]


def test_batches_have_few_sizes():
    sizes = [whole_size(count) for count in range(1, 17)]
    assert sizes == [1, 2, 3, 4, 4, 6, 6, 8, 8, 8, 8, 12, 12, 12, 12, 16]
    waiting, _ = waiting_of([16] * 5)
    assert [len(waiting.take(1024)), len(waiting.take(1024))] == [4, 1]


def test_what_is_taken_out_is_not_taken():
    waiting, jobs = waiting_of([16, 16, 16])
    waiting.remove(jobs[0])
    waiting.remove(jobs[0])
    assert waiting.tokens == 32 and [job.number for job in waiting.take(64)] == [1, 2] and waiting.tokens == 0


@given(st.lists(st.sampled_from([8, 16, 24, 32, 64, 80, 128])), st.integers(8, 300))
def test_every_job_is_taken_once_and_the_oldest_always_next(lengths, budget):
    waiting, jobs = waiting_of(lengths)
    left = {job.number for job in jobs}
    while batch := waiting.take(budget):
        longest = max(job.tokens for job in batch)
        assert batch[0].number == min(left)
        assert len(batch) == whole_size(len(batch))
        assert len(batch) == 1 or len(batch) * longest <= budget
        assert all(job.tokens >= SPREAD * longest for job in batch)
        left -= {job.number for job in batch}
    assert not left and waiting.tokens == len(waiting) == 0
