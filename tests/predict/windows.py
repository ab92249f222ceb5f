"""The command line on a system that is like Windows in what matters to files; a program, not a test.

There are no modules of POSIX, folders cannot be opened, and what is open cannot be removed or renamed.
"""

import os
import shutil
import sys
from pathlib import Path

import filelock


class WindowsLock(filelock.UnixFileLock):
    """Takes its file away when it has closed it, as that of Windows does."""

    def _release(self):
        super()._release()
        Path(self.lock_file).unlink()


def is_open(path):
    """Whether this process holds a file, or one in that folder."""
    there = Path(path).resolve()
    held = [Path(os.path.realpath(each)) for each in Path("/proc/self/fd").iterdir()]
    return any(each.is_file() and (each == there or there in each.parents) for each in held)


def refuse_what_is_open(real):
    """A function of the system that leaves alone what is open."""

    def refusing(*paths):
        if any(map(is_open, paths)):
            raise PermissionError(13, "The process cannot access the file because it is being used", str(paths[0]))
        return real(*paths)

    return refusing


def open_no_folder(path, *how, real=os.open):
    if Path(path).is_dir():
        raise PermissionError(13, "Permission denied", str(path))
    return real(path, *how)


if __name__ == "__main__":
    from pocketbert import cli

    filelock.FileLock = WindowsLock
    sys.modules |= dict.fromkeys(("fcntl", "grp", "pwd", "resource", "termios", "tty"))
    shutil._use_fd_functions = False
    for name in ("unlink", "remove", "replace", "rename", "rmdir"):
        setattr(os, name, refuse_what_is_open(getattr(os, name)))
    os.open = open_no_folder
    del os.O_DIRECTORY
    cli.main()
