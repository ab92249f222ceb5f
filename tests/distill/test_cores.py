"""Work on all cores at once: the answers in order, and torch's threads as they were."""

import threading
import time
from functools import partial

import pytest
import torch

from pocketbert.distill.cores import Cores


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def whoami(meet):
    meet.wait(timeout=60)
    return threading.get_ident(), torch.get_num_threads()


@pytest.mark.usefixtures("four_threads")
def test_each_task_has_a_thread_and_its_share_of_the_cores():
    cores = Cores(2)
    for _ in range(2):
        meet = threading.Barrier(2)  # which one thread alone would never leave
        (first, share), (second, other) = cores.run([partial(whoami, meet), partial(whoami, meet)])
        assert first == threading.get_ident() != second
        assert (share, other) == (2, 2)
        assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
def test_threads_that_start_later_are_not_told_of_the_shares():
    Cores(2).run([lambda: None, lambda: None])
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [4]


@pytest.mark.usefixtures("four_threads")
def test_a_lone_task_has_all_cores_and_answers_keep_their_order():
    cores = Cores(3)
    assert cores.run([torch.get_num_threads]) == [4]
    assert cores.run([lambda: "one", lambda: "two", lambda: "three"]) == ["one", "two", "three"]


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize("place", [0, 1])
def test_an_error_reaches_the_caller_and_the_cores_work_on(place):
    cores = Cores(2)
    tasks = [lambda: 1, lambda: 2]
    tasks[place] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        cores.run(tasks)
    assert torch.get_num_threads() == 4
    assert cores.run([lambda: 1, lambda: 2]) == [1, 2]


@pytest.mark.usefixtures("four_threads")
def test_nothing_runs_on_behind_an_error():
    """The tasks of the next call may work on the same models."""
    done = []

    def slow():
        time.sleep(0.3)
        done.append(True)

    with pytest.raises(ZeroDivisionError):
        Cores(2).run([lambda: 1 / 0, slow])
    assert done
