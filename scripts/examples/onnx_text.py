"""Predict texts with an exported net, with onnxruntime and numpy only: `python onnx_text.py model.onnx "A text"`."""

import html
import json
import re
import sys
import unicodedata

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
ids = {word: index for index, word in enumerate(known["vocabulary"])}
steps = {
    "lower": str.lower,
    "rstrip": str.rstrip,
    "replace": str.replace,
    "split": str.split,
    "unescape": html.unescape,
    "normalize": lambda text, form: unicodedata.normalize(form, text),
    "remove": lambda text, pattern: re.sub(pattern, "", text),
    "blank": lambda text, pattern: re.sub(pattern, " ", text),
    "find": lambda text, pattern: re.findall(pattern, text),
}


def encode(item):
    """Return the ids of the words of a text."""
    for name, *arguments in known["tokenizer"]:
        item = steps[name](item, *arguments)
    return [ids.get(word, known["unk"]) for word in item][: known["max_len"]]


texts = [encode(text) for text in sys.argv[2:]]
x = np.full((len(texts), known["width"] or max(map(len, texts))), known["pad"], np.int64)
for row, words in zip(x, texts, strict=True):
    row[: len(words)] = words

target = known["target"]
for text, y in zip(sys.argv[2:], session.run(None, {"x": x})[0], strict=True):
    if target["kind"] == "classes":  # a probability for each class
        print(target["names"][y.argmax()], f"{y.max():.6f}", text)
    elif target["kind"] == "multi_label":  # for each label a probability, and the threshold that it must reach
        chosen = [
            name for name, (probability, threshold) in zip(target["names"], y, strict=True) if probability >= threshold
        ]
        print("|".join(chosen), text)
    else:  # for each number its value and the ends of its interval, scaled
        values = y * np.array(target["std"])[:, None] + np.array(target["mean"])[:, None]
        for name, (value, low, high) in zip(target["names"], values, strict=True):
            print(name, f"{value:.6g} ({low:.6g} to {high:.6g})" if low <= high else f"{value:.6g}", text)
