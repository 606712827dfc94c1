"""Predict texts with an exported encoder: `python onnx_text_encoder.py model.onnx "A text"`.

It needs onnxruntime, tokenizers and numpy only. Copy `prepare` into your own program: its ids are those of the
training.
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def prepare(texts, known):
    """Return texts as the net's input, ids (texts, length) int64, padded to the longest of them."""
    tokenizer = Tokenizer.from_str(known["encoder_tokenizer"])
    tokenizer.no_padding()
    tokenizer.enable_truncation(known["max_len"])
    rows = [item.ids for item in tokenizer.encode_batch(list(texts))]
    x = np.full((len(rows), max(1, *map(len, rows))), known["pad"], np.int64)
    for row, ids in zip(x, rows, strict=True):
        row[: len(ids)] = ids
    return x


def main(model, *texts):
    """Print the prediction for each text."""
    session = onnxruntime.InferenceSession(model)
    known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
    target = known["target"]
    for text, y in zip(texts, session.run(None, {"x": prepare(texts, known)})[0], strict=True):
        if target["kind"] == "classes":  # a probability for each class
            print(target["names"][y.argmax()], f"{y.max():.6f}", text)
        elif target["kind"] == "multi_label":  # for each label a probability, and the threshold that it must reach
            print("|".join(name for name, (p, least) in zip(target["names"], y, strict=True) if p >= least), text)
        else:  # for each number its value and the ends of its interval, scaled
            values = y * np.array(target["std"])[:, None] + np.array(target["mean"])[:, None]
            for name, (value, low, high) in zip(target["names"], values, strict=True):
                print(name, f"{value:.6g} ({low:.6g} to {high:.6g})" if low <= high else f"{value:.6g}", text)


if __name__ == "__main__":
    main(*sys.argv[1:])
