import errno
import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pocketbert.errors import PocketBertError
from pocketbert.locks import FolderLock

HOLDING = """
import sys
from pathlib import Path
from pocketbert.locks import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """A process that has the folder, until its input ends."""
    command = [sys.executable, "-c", HOLDING, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_has_is_not_to_be_had(tmp_path, other):
    assert not FolderLock(tmp_path).take()
    other.communicate("")
    assert FolderLock(tmp_path).take()


def test_a_killed_process_leaves_its_folder_to_others(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert FolderLock(tmp_path).take()


def test_who_waits_has_it_in_the_end(tmp_path, other):
    other.stdin.close()
    assert FolderLock(tmp_path).take(wait=True)


def test_a_process_has_what_it_has_taken_before(tmp_path):
    before = FolderLock(tmp_path)
    assert before.take()
    again = FolderLock(tmp_path)
    assert again.take()
    again.release()
    command = [sys.executable, "-c", HOLDING, tmp_path]
    assert subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout == "True\n"


def test_another_thread_is_kept_out(tmp_path):
    lock = FolderLock(tmp_path)
    assert lock.take()
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(FolderLock(tmp_path).take).result()


def test_a_folder_is_held_inside_a_block(tmp_path):
    folder = tmp_path / "made" / "here"
    command = [sys.executable, "-c", HOLDING, folder]
    with FolderLock(folder).held("it is taken"):
        assert subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout == "False\n"
    assert subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout == "True\n"


def test_who_does_not_get_it_is_told(tmp_path, other):
    with pytest.raises(PocketBertError, match="it is taken"), FolderLock(tmp_path).held("it is taken"):
        pytest.fail("the block was entered")


@pytest.mark.parametrize("fault", [errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_that_knows_no_locks_will_do(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(fcntl, "flock", lambda *_: refuse(fault))
    lock = FolderLock(tmp_path)
    assert lock.take()
    lock.release()


def test_a_faulty_disk_is_not_taken_for_one_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: refuse(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        FolderLock(tmp_path).take()


def refuse(fault):
    raise OSError(fault, os.strerror(fault))
