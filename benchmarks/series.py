"""How fast do series become windows, beside the cookbook's Dataset and LTSF-Linear's; and what is an epoch of DLinear?

ETTh1 (17,420 hours of 7 columns, look-back 336, horizon 96) where LIGHTFIT_DATA names a folder with ETTh1.csv, else as
many generated. Batches of 32 of all training windows, shuffled; one thread.
"""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.figures import Figure, figure
from benchmarks.timing import alternate, ratio, seconds
from lightfit.datamodules import SeriesDataModule
from lightfit.lightning_modules.nets import DLinear

LOOKBACK, HORIZON, BATCH, COLUMNS = 336, 96, 32, 7


class CookbookDataset(Dataset[tuple[Tensor, Tensor]]):
    """Windows by pandas' .loc, as the cookbook's Covid-19 pipeline has them (chapter 1-4)."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table) - LOOKBACK - HORIZON + 1

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        """Return one window and what came after it."""
        past = self.table.loc[i : i + LOOKBACK - 1, :]
        future = self.table.loc[i + LOOKBACK : i + LOOKBACK + HORIZON - 1, :]
        return torch.tensor(past.values), torch.tensor(future.values)


class LtsfDataset(Dataset[tuple[Any, Any]]):
    """Windows by slices of numpy arrays, as in LTSF-Linear (Zeng et al. 2023), with the time stamps' features."""

    def __init__(self, values: np.ndarray, stamps: np.ndarray) -> None:
        self.values, self.stamps = values, stamps

    def __len__(self) -> int:
        return len(self.values) - LOOKBACK - HORIZON + 1

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        """Return one window, what came after it, and the stamps of both."""
        middle, end = i + LOOKBACK, i + LOOKBACK + HORIZON
        return self.values[i:middle], self.values[middle:end], self.stamps[i:middle], self.stamps[middle:end]


def etth1() -> tuple[Path, str]:
    """Prepare the table; return which one it is."""
    path = Path(os.environ.get("LIGHTFIT_DATA", "nowhere")) / "ETTh1.csv"
    if path.exists():
        return path, "ETTh1"
    values = np.random.default_rng(0).normal(size=(17_420, COLUMNS)).cumsum(0)
    table = pd.DataFrame(values, columns=[f"c{number}" for number in range(COLUMNS)])
    table.insert(0, "date", pd.date_range("2016-07-01", periods=len(table), freq="h"))
    table.to_csv("series.csv", index=False)
    return Path("series.csv"), "as many rows as ETTh1's"


def windows_per_batch_time(batches: Iterable[Any]) -> float:
    """Return the seconds for each window of an epoch."""
    started, number = time.perf_counter(), 0
    for batch in batches:
        number += len(batch[0])
    return (time.perf_counter() - started) / number


def train(batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the seconds of an epoch of DLinear in a loop by hand."""
    torch.manual_seed(0)
    net = DLinear(lookback=LOOKBACK, horizon=HORIZON, num_features=COLUMNS, num_targets=COLUMNS)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def epoch() -> None:
        for x, y in batches:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()

    return seconds(epoch)


def measure() -> Iterator[Figure]:
    """Yield the figures of series."""
    torch.set_num_threads(1)
    path, kind = etth1()
    data = SeriesDataModule(str(path), lookback=LOOKBACK, horizon=HORIZON, batch_size=BATCH)
    data.setup()
    table = pd.read_csv(path).iloc[: int(0.7 * 17_420), 1:].astype("float32")
    stamps = np.zeros((len(table), 4), np.float32)
    short = CookbookDataset(table.iloc[: LOOKBACK + HORIZON + 999].reset_index(drop=True))  # a thousand windows
    ltsf = LtsfDataset(table.to_numpy(), stamps)
    contenders = {
        "ours": lambda: windows_per_batch_time(data.train_dataloader()),
        "cookbook": lambda: windows_per_batch_time(DataLoader(short, batch_size=BATCH, shuffle=True)),
        "ltsf": lambda: windows_per_batch_time(DataLoader(ltsf, batch_size=BATCH, shuffle=True, drop_last=True)),
    }
    times = alternate(contenders, rounds=7)
    peers = {
        "cookbook": ("the cookbook's Dataset (pandas `.loc`)", ">= 50"),
        "ltsf": ("LTSF-Linear's DataLoader", ">= 5"),
    }
    for name, (peer, target) in peers.items():
        faster = ratio(times, name, "ours")
        yield figure("series", "windows", peer, faster, "times faster", rounds=7, target=target, note=kind)
    one = next(iter(data.train_dataloader()))
    steps = len(data.train_dataloader())
    contenders = {"ours": lambda: train(data.train_dataloader()), "pure": lambda: train([one] * steps)}
    times = alternate(contenders, rounds=7)
    peer = "the same steps on one batch that is there"
    note = "a loop by hand, so that what is compared is the data"
    epoch = ratio(times, "ours", "pure")
    yield figure("series", "a DLinear epoch", peer, epoch, "x the time", rounds=7, target="<= 1.1", note=note)
