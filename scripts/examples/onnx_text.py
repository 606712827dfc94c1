"""Predict texts with an exported net, with onnxruntime and numpy only: `python onnx_text.py model.onnx "A text"`.

Copy `prepare` into your own program: its ids are those of the training.
"""

import html
import json
import re
import sys
import unicodedata

import numpy as np
import onnxruntime

steps = {  # and the methods of str
    "unescape": html.unescape,
    "normalize": lambda text, form: unicodedata.normalize(form, text),
    "remove": lambda text, pattern: re.sub(pattern, "", text),
    "blank": lambda text, pattern: re.sub(pattern, " ", text),
    "find": lambda text, pattern: re.findall(pattern, text),
}


def prepare(texts, known):
    """Return texts as the net's input, ids (texts, length) int64: of words in order, or of the distinct n-grams."""
    ids = {word: index for index, word in enumerate(known["vocabulary"])}
    find_ngrams = build_ngrams(known, ids) if known["ngrams"] else None
    rows = []
    for text in texts:
        item = text
        for name, *arguments in known["tokenizer"]:
            item = (steps.get(name) or getattr(str, name))(item, *arguments)
        words = item[: known["max_len"]]
        found = [ids.get(word, known["unk"]) for word in words]
        rows.append(find_ngrams(words, found) if find_ngrams else found)
    x = np.full((len(rows), known["width"] or max(1, *map(len, rows))), known["pad"], np.int64)
    for row, found in zip(x, rows, strict=True):
        row[: len(found)] = found
    return x


def build_ngrams(known, ids):
    """Return a function from the words of a text and their ids to the ids of the distinct n-grams in it."""
    ngrams, unknown = known["ngrams"], (known["unk"], known["pad"])
    ranks = [{key: rank for rank, key in enumerate(keys)} for keys in ngrams["keys"]]
    pieces = {piece: rank for rank, piece in enumerate(ngrams["pieces"])}

    def find_ngrams(words, found):
        every = {index for index in found if index not in unknown}
        before = [None if index in unknown else index for index in found]  # rank of the n-gram that starts at each word
        start = len(ids)
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

    return find_ngrams


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
