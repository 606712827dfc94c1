"""The peer of benchmarks/serving.py: the same model behind LitServe, by `python -m benchmarks.litserve_peer CKPT PORT`.

It takes the same JSON, one input a request, and predicts batches by the same code, so that the servers alone differ.
"""

import sys
from typing import Any, cast

import litserve
import torch
from fastapi import Request

from lightfit.scripts.inference.inputs import choose_inputs
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.rows import predict_records
from lightfit.scripts.inference.trained import load_served


class Peer(litserve.LitAPI):
    """Predict one input a request, in batches.

    Args:
        checkpoint: the checkpoint.
        others: arguments of LitAPI.
    """

    def __init__(self, checkpoint: str, **others: Any) -> None:
        super().__init__(**others)
        self.checkpoint = checkpoint

    def setup(self, device: str) -> None:
        """Load the model, in the worker process."""
        trained = load_served(self.checkpoint)
        self.inputs = choose_inputs(trained)
        self.predictor = Predictor(trained.model, trained.codec, [torch.device("cpu")])

    def decode_request(self, request: Request) -> Any:
        """Return the sample of a request; LitServe reads the annotation, and passes the JSON."""
        return self.inputs.from_json(cast(Any, request))[0]

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Return the samples as they are: the codec makes a tensor of them."""
        return inputs

    def predict(self, x: list[Any]) -> list[Any]:
        """Predict a batch of samples."""
        return [rows[0] for rows in predict_records(self.predictor, x)]

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Return the predictions as they are."""
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the answer."""
        return {"predictions": [output]}


if __name__ == "__main__":
    api = Peer(sys.argv[1], max_batch_size=32, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
