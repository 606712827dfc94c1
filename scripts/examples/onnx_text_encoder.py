"""Predict texts with an exported encoder, with onnxruntime, tokenizers and numpy only.

`python onnx_text_encoder.py model.onnx "A text"`
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

session = onnxruntime.InferenceSession(sys.argv[1])
known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
tokenizer = Tokenizer.from_str(known["encoder_tokenizer"])
tokenizer.no_padding()
tokenizer.enable_truncation(known["max_len"])

texts = [item.ids for item in tokenizer.encode_batch(sys.argv[2:])]
x = np.full((len(texts), max(1, *map(len, texts))), known["pad"], np.int64)
for row, ids in zip(x, texts, strict=True):
    row[: len(ids)] = ids

target = known["target"]
for text, y in zip(sys.argv[2:], session.run(None, {"x": x})[0], strict=True):
    if target["kind"] == "classes":  # a probability for each class
        print(target["names"][y.argmax()], f"{y.max():.6f}", text)
    elif target["kind"] == "multi_label":  # for each label a probability, and the threshold that it must reach
        print("|".join(name for name, (p, least) in zip(target["names"], y, strict=True) if p >= least), text)
    else:  # for each number its value and the ends of its interval, scaled
        values = y * np.array(target["std"])[:, None] + np.array(target["mean"])[:, None]
        for name, (value, low, high) in zip(target["names"], values, strict=True):
            print(name, f"{value:.6g} ({low:.6g} to {high:.6g})" if low <= high else f"{value:.6g}", text)
