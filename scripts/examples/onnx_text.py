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
steps = {  # and the methods of str
    "unescape": html.unescape,
    "normalize": lambda text, form: unicodedata.normalize(form, text),
    "remove": lambda text, pattern: re.sub(pattern, "", text),
    "blank": lambda text, pattern: re.sub(pattern, " ", text),
    "find": lambda text, pattern: re.findall(pattern, text),
}


ngrams = known["ngrams"] or {"keys": [], "pieces": [], "char_ngrams": None}
ranks = [{key: rank for rank, key in enumerate(keys)} for keys in ngrams["keys"]]
pieces = {piece: rank for rank, piece in enumerate(ngrams["pieces"])}


def encode(item):
    """Return the ids of the words of a text in order, or of the distinct n-grams in it."""
    for name, *arguments in known["tokenizer"]:
        item = (steps.get(name) or getattr(str, name))(item, *arguments)
    words = item[: known["max_len"]]
    found = [ids.get(word, known["unk"]) for word in words]
    return found if known["ngrams"] is None else find_ngrams(words, found)


def find_ngrams(words, found):
    """Return the ids of the distinct n-grams in a text, by its words and their ids."""
    unknown = (known["unk"], known["pad"])
    every = {index for index in found if index not in unknown}
    before = [None if index in unknown else index for index in found]  # rank of the n-gram that starts at each word
    start = len(known["vocabulary"])
    for order, known_ranks in enumerate(ranks, 1):
        keys = [
            None if rank is None else rank * len(ids) + last
            for rank, last in zip(before[:-1], found[order:], strict=True)
        ]
        before = [
            None if last in unknown else known_ranks.get(key) for key, last in zip(keys, found[order:], strict=True)
        ]
        every |= {start + rank for rank in before if rank is not None}
        start += len(known_ranks)
    for word in {f" {word} " for word in words} if pieces else ():
        cuts = [word[i : i + n] for n in range(2, ngrams["char_ngrams"] + 1) for i in range(len(word) - n + 1)]
        every |= {start + pieces[cut] for cut in cuts if cut in pieces}
    return sorted(every)


texts = [encode(text) for text in sys.argv[2:]]
x = np.full((len(texts), known["width"] or max(1, *map(len, texts))), known["pad"], np.int64)
for row, words in zip(x, texts, strict=True):
    row[: len(words)] = words

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
