"""LitServe around the fastest of the neighbours' models, for serve.py; a file of its own, for its workers import it.

python litserve_way.py NAME STUDENT TEXTS THREADS PORT
"""

import sys
from pathlib import Path
from typing import Any

import litserve

from bulk_ways import sorted_int8


class Api(litserve.LitAPI):
    """Vectors of texts, several at once."""

    def setup(self, _: str) -> None:
        """Load the model, in the worker."""
        self.run = sorted_int8(Path(sys.argv[2]), int(sys.argv[4]))

    def decode_request(self, request: dict[str, Any]) -> str:
        """The text of a request."""
        return str(request["inputs"])

    def predict(self, texts: list[str]) -> Any:
        """Vectors of a batch."""
        return self.run(texts)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """A vector as JSON."""
        return {"vector": output.tolist()}


if __name__ == "__main__":
    api = Api(max_batch_size=16, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[5]), log_level="warning", num_api_servers=1, generate_client_file=False)
