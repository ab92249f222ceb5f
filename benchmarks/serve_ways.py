"""The neighbours of serve.py: each serves vectors of the student on a port, in its own Python, without PocketBERT.

python serve_ways.py NAME STUDENT TEXTS THREADS PORT
"""

import os
import sys
from pathlib import Path
from typing import Any

NEIGHBOURS = {
    "FastAPI + transformers": "/embed",
    "LitServe, OpenVINO int8": "/predict",
    "infinity, ONNX int8": "/embeddings",
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


def litserve(model: Path, threads: int, port: int) -> None:
    """LitServe with batches, around the fastest of the neighbours' models."""
    import litserve

    from bulk_ways import sorted_int8

    class Api(litserve.LitAPI):
        def setup(self, _: str) -> None:
            self.run = sorted_int8(model, threads)

        def decode_request(self, request: dict[str, Any]) -> str:
            return str(request["inputs"])

        def predict(self, texts: list[str]) -> Any:
            return self.run(texts)

        def encode_response(self, output: Any) -> dict[str, Any]:
            return {"vector": output.tolist()}

    api = Api(max_batch_size=16, batch_timeout=0.005)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        port=port, log_level="warning", num_api_servers=1
    )


def infinity(model: Path, port: int, engine: str) -> None:
    """Infinity with one of its engines."""
    from infinity_emb.cli import cli

    folder = str(model if engine == "optimum" else model.parent / "model")
    sys.argv = ["infinity_emb", "v2", "--model-id", folder, "--engine", engine, "--port", str(port), "--device", "cpu"]
    sys.argv += ["--served-model-name", "student", "--no-model-warmup", "--no-bettertransformer"]
    cli()


def main(name: str, model: str, _: str, threads: str, port: str) -> None:
    """Serve until the process is ended."""
    os.environ |= {
        "OMP_NUM_THREADS": threads,
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    }
    folder, count, where = Path(model), int(threads), int(port)
    if name.startswith("infinity"):
        infinity(folder, where, "torch" if "torch" in name else "optimum")
    else:
        {"FastAPI + transformers": plain, "LitServe, OpenVINO int8": litserve}[name](folder, count, where)


if __name__ == "__main__":
    main(*sys.argv[1:])
