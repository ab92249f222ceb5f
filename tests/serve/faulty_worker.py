"""A worker whose engine fails at some texts: it raises, answers with NaN, hangs or dies, by the word that it reads."""

import os
import sys
import time
from pathlib import Path

import numpy as np

from pocketbert.engines.encoding import load_tokenizer
from pocketbert.serve import worker_process

FAULTS = {"dull": "raise", "broken": "nan", "horse": "hang", "owl": "die"}
"""By a word of the tokenizer."""


class FaultyEngine:
    """An engine that cannot stand some tokens."""

    def __init__(self, engine, tokens):
        self._engine, self._tokens = engine, tokens
        self.name, self.inputs, self.description = engine.name, engine.inputs, engine.description

    def run(self, inputs):
        found = self._engine.run(inputs)
        for token, fault in self._tokens.items():
            if (inputs["input_ids"] == token).any():
                if fault == "raise":
                    raise RuntimeError("the engine raises")
                if fault == "nan":
                    return np.full_like(found, np.nan)
                if fault == "hang":
                    time.sleep(1000)
                os._exit(9)
        return found


def open_faulty(folder: Path, **options):
    opened = open_directory(folder, **options)
    tokenizer = load_tokenizer(folder)
    tokens = {tokenizer.token_to_id(word): fault for word, fault in FAULTS.items()}
    assert None not in tokens, "the tokenizer does not know the words"
    return type(opened)(opened.path, FaultyEngine(opened.engine, tokens))


if __name__ == "__main__":
    open_directory = worker_process.open_directory
    worker_process.open_directory = open_faulty
    worker_process.main()
    sys.exit()
