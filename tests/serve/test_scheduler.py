"""Exactly one answer to every request, whatever happens; and what runs when."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import run_jumping
from workers import HANGS, KILLS, RAISES, RESTART, TIMEOUT, FakeWorker, make_scheduler, window

from pocketbert.serve.problems import Problem


async def ask(scheduler, windows):
    return [float(values[0]) for values in (await scheduler.run(windows)).logits]


def test_nothing_waits_while_a_stream_is_idle():
    async def main():
        worker = FakeWorker(streams=2)
        scheduler = make_scheduler(worker)
        await asyncio.gather(*(ask(scheduler, [window(number)]) for number in range(6)))
        return worker.runs

    # Two go alone at once; what came meanwhile goes together.
    assert run_jumping(main()) == [[0], [1], [2, 3, 4, 5]]


def test_answers_come_in_the_order_of_the_windows():
    async def main():
        scheduler = make_scheduler(FakeWorker(streams=2))
        return await ask(scheduler, [window(3, 30), window(1, 8), window(2, 60)])

    assert run_jumping(main()) == [3, 1, 2]


def test_times_are_those_of_queue_and_model():
    async def main():
        scheduler = make_scheduler(FakeWorker(seconds=0.01))
        first, second = await asyncio.gather(scheduler.run([window(1, 10)]), scheduler.run([window(2, 10)]))
        return first.queued, first.inferred, second.queued, second.inferred

    assert run_jumping(main()) == pytest.approx((0, 0.1, 0.1, 0.1))


def test_who_leaves_the_queue_never_reaches_the_model():
    async def main():
        worker = FakeWorker()
        scheduler = make_scheduler(worker)
        first = asyncio.create_task(ask(scheduler, [window(1, 60)]))
        leaving = asyncio.create_task(ask(scheduler, [window(2), window(3)]))
        last = asyncio.create_task(ask(scheduler, [window(4)]))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(first, last)
        return worker.runs

    assert run_jumping(main()) == [[1], [4]]


def test_a_full_queue_is_refused_with_the_time_to_wait():
    async def main():
        worker = FakeWorker(seconds=0.1)
        scheduler = make_scheduler(worker, queue=128)
        tasks = [asyncio.create_task(ask(scheduler, [window(number, 64)])) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await ask(scheduler, [window(9, 64)])
        await asyncio.gather(*tasks)
        return refused.value

    problem = run_jumping(main())
    assert (problem.status, problem.kind) == (429, "Overloaded") and int(problem.headers["retry-after"]) >= 1


def test_a_request_larger_than_the_queue_is_never_accepted():
    async def main():
        with pytest.raises(Problem) as refused:
            await ask(make_scheduler(FakeWorker(), queue=64), [window(1, 64), window(2, 64)])
        return refused.value.status

    assert run_jumping(main()) == 413


def test_who_would_wait_too_long_is_told_at_once():
    async def main():
        loop = asyncio.get_running_loop()
        worker = FakeWorker(seconds=0.01)  # 100 tokens a second
        scheduler = make_scheduler(worker, seconds=2.0)
        await ask(scheduler, [window(0, 64)])  # a full batch tells the speed
        tasks = [asyncio.create_task(ask(scheduler, [window(number, 64)])) for number in range(1, 5)]
        await asyncio.sleep(0)
        before = loop.time()
        with pytest.raises(Problem) as refused:
            await ask(scheduler, [window(9, 64)])
        waited = loop.time() - before
        await asyncio.gather(*tasks, return_exceptions=True)
        return waited, refused.value.status, refused.value.headers

    # 4 × 64 tokens at 100 a second take 2.56 s, which is 0.56 s too long.
    assert run_jumping(main()) == (0, 429, {"retry-after": "1"})


def test_time_spent_on_reading_counts_unless_nothing_waits():
    async def main():
        scheduler = make_scheduler(FakeWorker(seconds=0.01), seconds=2.0)
        await ask(scheduler, [window(0, 64)])  # a full batch tells the speed: 0.64 s
        idle = await scheduler.run([window(1, 64)], spent=5.0)
        running = asyncio.create_task(ask(scheduler, [window(2, 64)]))
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await scheduler.run([window(3, 64)], spent=1.0)
        beside = await scheduler.run([window(4, 64)], spent=0.5)
        await running
        return len(idle.logits), refused.value.status, len(beside.logits)

    assert run_jumping(main()) == (1, 429, 1)


def test_one_slow_moment_is_forgotten():
    async def main():
        worker = FakeWorker(seconds=1.0)
        scheduler = make_scheduler(worker, seconds=1.0)
        await ask(scheduler, [window(0, 64)])  # a token a second: nothing could wait for such a model
        worker.seconds = 0.001
        for number in range(20):
            await ask(scheduler, [window(number, 8)])
        return await asyncio.gather(*(ask(scheduler, [window(number, 8)]) for number in range(8)))

    assert run_jumping(main()) == [[number] for number in range(8)]


def test_who_has_waited_too_long_is_never_computed():
    async def main():
        worker = FakeWorker(seconds=2.0)
        scheduler = make_scheduler(worker, seconds=2.0)
        first = asyncio.create_task(ask(scheduler, [window(1, 8)]))  # 16 s
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await ask(scheduler, [window(2, 8)])
        late = asyncio.get_running_loop().time()
        return await first, refused.value.status, late, worker.runs

    assert run_jumping(main()) == ([1], 429, 8.0, [[1]])  # four deadlines


def test_what_has_begun_is_finished():
    async def main():
        scheduler = make_scheduler(FakeWorker(seconds=1.0), batch=8, seconds=2.0)
        return await ask(scheduler, [window(1, 8), window(2, 8)])

    assert run_jumping(main()) == [1, 2]


@pytest.mark.parametrize("poison", [RAISES, KILLS, HANGS])
def test_a_poison_text_fails_alone(poison):
    async def main():
        worker = FakeWorker()
        scheduler = make_scheduler(worker, batch=1024)
        block = asyncio.create_task(ask(scheduler, [window(99, 60)]))
        await asyncio.sleep(0)  # while this runs the others gather into one batch
        asks = (ask(scheduler, [window(n, poison=poison if n == 5 else None)]) for n in range(16))
        found = await asyncio.gather(*asks, return_exceptions=True)
        await block
        return found, asyncio.get_running_loop().time(), worker.runs

    found, seconds, runs = run_jumping(main())
    assert [each for n, each in enumerate(found) if n != 5] == [[n] for n in range(16) if n != 5]
    assert isinstance(found[5], Problem) and (found[5].status, found[5].kind) == (424, "Backend")
    assert len(runs[1]) == 16 and len(runs) <= 2 + 2 * 4  # halves of 16, four times
    assert seconds < 5 * (TIMEOUT + RESTART) + 2


def test_a_worker_that_dies_once_costs_nobody_an_answer():
    async def main():
        worker = FakeWorker(streams=2, seconds=0.01)
        scheduler = make_scheduler(worker)
        asyncio.get_running_loop().call_later(0.05, worker.die)
        return await asyncio.gather(*(ask(scheduler, [window(n)]) for n in range(40)))

    assert run_jumping(main()) == [[n] for n in range(40)]


def test_who_ran_beside_a_text_that_kills_is_answered():
    async def main():
        scheduler = make_scheduler(FakeWorker(streams=3, seconds=0.01), batch=8)
        asks = (ask(scheduler, [window(n, poison=KILLS if n == 1 else None)]) for n in range(6))
        return await asyncio.gather(*asks, return_exceptions=True)

    found = run_jumping(main())
    assert isinstance(found.pop(1), Problem) and found == [[0], [2], [3], [4], [5]]


def test_nothing_runs_beside_a_suspect():
    async def main():
        worker = FakeWorker(streams=2, seconds=0.01)
        scheduler = make_scheduler(worker, batch=8)
        killer = asyncio.create_task(ask(scheduler, [window(1, poison=KILLS)]))
        beside = asyncio.create_task(ask(scheduler, [window(2)]))
        await asyncio.sleep(RESTART)  # both are suspects now
        other = asyncio.create_task(ask(scheduler, [window(3, poison=KILLS)]))
        return await asyncio.gather(killer, beside, other, return_exceptions=True)

    first, beside, other = run_jumping(main())
    assert isinstance(first, Problem) and isinstance(other, Problem) and beside == [2]


def test_nobody_waits_for_a_worker_that_does_not_come():
    async def main():
        worker = FakeWorker(ready=False)
        scheduler = make_scheduler(worker)
        waiting = asyncio.create_task(ask(scheduler, [window(1)]))
        await asyncio.sleep(1)
        worker.failing = True
        worker.changed()
        statuses = []
        for asking in (waiting, ask(scheduler, [window(2)])):
            with pytest.raises(Problem) as refused:
                await asking
            statuses.append(refused.value.status)
        return statuses

    assert run_jumping(main()) == [503, 503]


@dataclass(frozen=True)
class Arrival:
    """A request of a made-up story."""

    at: float
    lengths: list[int]
    poison: int | None
    leaves: float | None


ARRIVALS = st.builds(
    Arrival,
    at=st.floats(0, 3),
    lengths=st.lists(st.integers(2, 70), min_size=1, max_size=4),
    poison=st.sampled_from([None, None, None, None, RAISES, KILLS, HANGS]),
    leaves=st.one_of(st.none(), st.none(), st.floats(0, 2)),
)


async def _live(arrival, number, scheduler, worker, ended):
    await asyncio.sleep(arrival.at)
    windows = [window(10 * number + place, length) for place, length in enumerate(arrival.lengths)]
    if arrival.poison is not None:
        windows[-1] = window(windows[-1].ids[0], arrival.lengths[-1], poison=arrival.poison)
    task = asyncio.create_task(ask(scheduler, windows))
    if arrival.leaves is not None:
        asyncio.get_running_loop().call_later(arrival.leaves, task.cancel)
    ended.append(number)
    try:
        return await task
    except Problem as problem:
        return problem
    except asyncio.CancelledError:
        return "left"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(ARRIVALS, max_size=12),
    st.lists(st.floats(0, 4), max_size=3),
    st.integers(1, 3),
    st.sampled_from([0.5, 3.0, 1e6]),
)
def test_every_request_gets_one_answer_whatever_happens(arrivals, deaths, streams, seconds):
    async def main():
        worker = FakeWorker(streams=streams, seconds=0.003)
        scheduler = make_scheduler(worker, batch=64, queue=300, seconds=seconds)
        for at in deaths:
            asyncio.get_running_loop().call_later(at, worker.die)
        begun = []
        lives = [_live(each, number, scheduler, worker, begun) for number, each in enumerate(arrivals)]
        async with asyncio.timeout(1000):  # by a clock that jumps: a request that hangs ends the test
            found = await asyncio.gather(*lives)
        await asyncio.sleep(100)
        return found, worker.runs, len(scheduler._waiting), scheduler._waiting.tokens, len(scheduler._running)

    found, runs, *left = run_jumping(main())
    assert left == [0, 0, 0]
    for number, (arrival, answer) in enumerate(zip(arrivals, found, strict=True)):
        if isinstance(answer, Problem):
            # Refused for want of time or room, or because it is poison itself: never for the fault of another.
            assert answer.status in (413, 429) or (answer.status == 424 and _guilty(arrival, deaths)), answer
            if answer.status in (413, 429):
                assert not any(10 * number in run for run in runs)
        elif answer == "left":
            assert arrival.leaves is not None
        else:
            assert answer == [10 * number + place for place in range(len(arrival.lengths))] and arrival.poison is None


def _guilty(arrival, deaths):
    """Whether a request killed its worker; one that was alone with it twice when it died by itself looks the same."""
    return arrival.poison is not None or len(deaths) >= 2
