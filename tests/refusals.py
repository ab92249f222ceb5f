"""What a refusal on the command line is to look like."""

import re


def unfinished(output):
    """Whether nothing in a folder looks like a finished model."""
    return not any(path.name in ("manifest.json", "model.safetensors", "config.json") for path in output.rglob("*"))


def check_refusal(called, output, pattern):
    assert called.code == 2
    *notes, message = [line for line in called.err.splitlines() if line.strip()]
    assert message.startswith("error: ") and re.search(pattern, message), called.err
    # Rows are tokenised after they were read and held out; all other refusals stand alone.
    assert not notes or "max_length" in message
    assert "Traceback" not in called.err and called.out == ""
    assert not output.exists()
