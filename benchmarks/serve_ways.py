"""The neighbours of serve.py: each serves vectors of the student on a port, in its own Python, without PocketBERT.

python serve_ways.py NAME STUDENT TEXTS THREADS PORT
"""

import os
import runpy
import sys
from pathlib import Path

NEIGHBOURS = {
    "FastAPI + transformers": "/embed",
    "LitServe, OpenVINO int8": "/predict",
    "infinity, torch": "/embeddings",
}
"""By name the route that is asked."""


def plain(model: Path, threads: int, port: int) -> None:
    """What is written in an afternoon: FastAPI around a model of transformers, a request at a time."""
    import torch
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel
    from transformers import AutoModel, AutoTokenizer

    from bulk_ways import LONGEST, _bare

    class Inputs(BaseModel):
        inputs: str

    torch.set_num_threads(threads)
    bare = str(_bare(model))
    tokenizer, loaded = AutoTokenizer.from_pretrained(bare), AutoModel.from_pretrained(bare).eval()
    app = FastAPI()

    @app.post("/embed")
    def embed(inputs: Inputs) -> list[list[float]]:
        encoded = tokenizer(inputs.inputs, truncation=True, max_length=LONGEST, return_tensors="pt")
        with torch.inference_mode():
            states = loaded(**encoded).last_hidden_state
        vectors: list[list[float]] = torch.nn.functional.normalize(states.mean(dim=1)).tolist()
        return vectors

    uvicorn.run(app, port=port, log_level="warning")


def litserve() -> None:
    """LitServe, from a file of its own."""
    runpy.run_path(str(Path(__file__).with_name("litserve_way.py")), run_name="__main__")


def infinity(model: Path, port: int) -> None:
    """Infinity with torch; its other engine takes no file that was not made by its own library."""
    from infinity_emb.cli import cli

    sys.argv = ["infinity_emb", "v2", "--model-id", str(model.parent / "model"), "--engine", "torch"]
    sys.argv += ["--port", str(port), "--device", "cpu", "--served-model-name", "student", "--no-bettertransformer"]
    cli()


def main(name: str, model: str, _: str, threads: str, port: str) -> None:
    """Serve until the process is ended."""
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    os.environ |= {"OMP_NUM_THREADS": threads, **quiet}
    if name == "FastAPI + transformers":
        plain(Path(model), int(threads), int(port))
    elif name == "infinity, torch":
        infinity(Path(model), int(port))
    else:
        litserve()


if __name__ == "__main__":
    main(*sys.argv[1:])
