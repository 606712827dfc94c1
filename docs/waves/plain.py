"""Waveforms as in Lightning: a folder of .npy files, and labels.csv with the name and the number of each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset, random_split


class WaveDataModule(pl.LightningDataModule):
    def __init__(self, source: str = "waves", batch_size: int = 16) -> None:
        super().__init__()
        self.source, self.batch_size = Path(source), batch_size

    def setup(self, stage: str) -> None:
        table = pd.read_csv(self.source / "labels.csv")
        x = torch.stack([torch.from_numpy(np.load(self.source / name)) for name in table["file"]])
        pairs = TensorDataset(x[:, None], torch.tensor(table["number"].to_numpy(np.float32))[:, None])
        self.train, self.val = random_split(pairs, [0.8, 0.2], torch.Generator().manual_seed(0))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self.batch_size)
