"""How long is a training epoch of the cookbook's text CNN? LightFit, the cookbook's script, torchkeras, Keras.

The same net, batches of 20 of the same reviews, Adagrad; each in a process of its own with two threads, an epoch of 500
steps in turn.
"""

import argparse
import contextlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path[:1] = [str(Path(__file__).resolve().parents[1])]

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contenders import Contender, answer
from benchmarks.figures import Figure, figure
from benchmarks.loop import BATCH, CookbookCNN, by_hand, lightfit
from benchmarks.loop import data as reviews
from benchmarks.text import TABLES, write_tables
from benchmarks.timing import alternate, ratio
from lightfit.lightning_modules.nets import TextCNN

STEPS, ROUNDS = 500, 5
NUM_SAMPLES = STEPS * BATCH
PEERS = {
    "cookbook": "the cookbook's script (torchtext 0.6 batches, a loop)",
    "torchkeras": "torchkeras KerasModel",
    "keras-torch": "Keras on torch",
    "keras-jax": "Keras on JAX",
    "hand": "a loop by hand, the cookbook's layers",
}
TARGETS = {"cookbook": ">= 1.4", "torchkeras": ">= 1", "keras-torch": ">= 1", "keras-jax": ">= 1"}


def of_lightfit() -> Callable[[], float]:
    """Time LightFit with everything on."""
    data = reviews(NUM_SAMPLES)
    return lambda: lightfit(TextCNN(10_000, max_len=200), data)


def of_hand() -> Callable[[], float]:
    """Time a loop without anything."""
    x, y = reviews(NUM_SAMPLES).train_data[torch.arange(NUM_SAMPLES)]
    return lambda: by_hand(CookbookCNN(), x, y)


def of_cookbook() -> Callable[[], float]:
    """Time the cookbook's pipeline and training step (eat_pytorch_in_20_days, chapters 1-3 and 6-1)."""
    from torchtext.data import BucketIterator, Field, TabularDataset

    from lightfit.datamodules.text.vocabulary import tokenize

    text = Field(sequential=True, tokenize=tokenize, fix_length=200, batch_first=True)
    label = Field(sequential=False, use_vocab=False)
    train = TabularDataset(str(TABLES / "train.tsv"), "tsv", [("label", label), ("text", text)])
    for example in train.examples:
        example.label = int(example.label)
    text.build_vocab(train, max_size=9_998)
    train.examples = train.examples[:NUM_SAMPLES]
    batches = BucketIterator(train, batch_size=BATCH, shuffle=True, sort=False)

    def epoch() -> float:
        net, loss_function = CookbookCNN(), nn.BCEWithLogitsLoss()
        optimizer = torch.optim.Adagrad(net.parameters(), lr=0.02)
        started, losses, hits = time.perf_counter(), 0.0, 0.0
        for batch in batches:
            net.train()
            optimizer.zero_grad()
            y = batch.label.float()[:, None]
            logits = net(batch.text)
            loss = loss_function(logits, y)
            loss.backward()
            optimizer.step()
            losses += loss.item()
            hits += ((logits > 0) == (y > 0.5)).float().mean().item()
        return time.perf_counter() - started

    return epoch


def of_torchkeras() -> Callable[[], float]:
    """Time torchkeras' loop, its metric and its bar."""
    with contextlib.redirect_stdout(sys.stderr):
        from torchkeras import KerasModel
        from torchkeras.metrics import Accuracy
    x, y = reviews(NUM_SAMPLES).train_data[torch.arange(NUM_SAMPLES)]
    loader = DataLoader(TensorDataset(x, y.float()[:, None]), batch_size=BATCH, shuffle=True)

    def epoch() -> float:
        net = CookbookCNN()
        model = KerasModel(
            net, nn.BCEWithLogitsLoss(), {"acc": Accuracy()}, torch.optim.Adagrad(net.parameters(), lr=0.02)
        )
        started = time.perf_counter()
        model.fit(loader, epochs=1, monitor="train_loss", plot=False, cpu=True)
        return time.perf_counter() - started

    return epoch


def of_keras(backend: str) -> Callable[[], float]:
    """Time Keras' fit on a backend, after its compilation."""
    os.environ["KERAS_BACKEND"] = backend
    import keras
    from keras import layers

    x, y = (part.numpy() for part in reviews(NUM_SAMPLES).train_data[torch.arange(NUM_SAMPLES)])
    net = [layers.Input((200,), dtype="int32"), layers.Embedding(10_000, 3)]
    for channels, width in ((16, 5), (128, 2)):
        net += [layers.Conv1D(channels, width), layers.MaxPool1D(2), layers.Activation("relu")]
    model = keras.Sequential([*net, layers.Flatten(), layers.Dense(1)])
    loss, metric = keras.losses.BinaryCrossentropy(from_logits=True), keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(keras.optimizers.Adagrad(0.02), loss, metrics=[metric])

    def epoch() -> float:
        started = time.perf_counter()
        model.fit(x.astype("int32"), y.astype("float32"), batch_size=BATCH, epochs=1, verbose=0)
        return time.perf_counter() - started

    return epoch


MAKERS: dict[str, Callable[[], Callable[[], float]]] = {
    "lightfit": of_lightfit,
    "hand": of_hand,
    "cookbook": of_cookbook,
    "torchkeras": of_torchkeras,
    "keras-torch": lambda: of_keras("torch"),
    "keras-jax": lambda: of_keras("jax"),
}


def measure() -> Iterator[Figure]:
    """Yield the figures of an epoch."""
    write_tables()
    contenders = {name: Contender(__file__, name) for name in MAKERS}
    try:
        times = alternate(contenders, rounds=ROUNDS)
    finally:
        for contender in contenders.values():
            contender.close()
    for name, peer in PEERS.items():
        faster = ratio(times, name, "lightfit")
        target = TARGETS.get(name, "")
        yield figure("text_cnn", "an epoch of the text CNN", peer, faster, "times faster", rounds=ROUNDS, target=target)


if __name__ == "__main__":  # one of them, in a process of its own
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=MAKERS)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(2)
    answer(MAKERS[parser.parse_args().contender]())
