"""Structured logs: a line of JSON for each event, on standard error, with counts and times but never with texts."""

import datetime
import logging
import sys
from typing import Any

import orjson

LOGGER = logging.getLogger("pocketbert.serve")


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Write a line.

    Args:
        event: what happened.
        level: how much it matters.
        fields: about it.
    """
    LOGGER.log(level, event, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """Records as JSON; of an exception the kind and the place, for its message may hold a text."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        now = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {"time": now.isoformat(timespec="milliseconds"), "level": record.levelname.lower()}
        line |= {"event": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[0] is not None:
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            line["exception"] = record.exc_info[0].__name__
            line["place"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
        return orjson.dumps(line, default=str).decode()


def set_up_logs() -> None:
    """Write the lines of the server, and the warnings of what it runs on, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name, level in (("pocketbert.serve", logging.INFO), ("uvicorn", logging.WARNING), ("asyncio", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
