"""What the processes of workers run in tests."""

import os


def answer(connection, start):
    """Count up from a number until the other end hangs up."""
    try:
        while connection.recv():
            connection.send(start)
            start += 1
    except EOFError:
        return


def die(connection, code):
    """End without an answer."""
    connection.recv()
    os._exit(code)
