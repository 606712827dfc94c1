"""Waveforms with a codec: predict, evaluate, export and serve then need the checkpoint alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lightfit import Codec, DataModule, Samples


class WaveCodec(Codec):
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def encode(self, samples):
        return torch.stack([torch.from_numpy(np.load(file)) for file in samples])[:, None] / self.scale

    def decode(self, samples, predictions):
        return pd.DataFrame({"file": map(str, samples), "number": predictions[:, 0].numpy()})


class WaveDataModule(DataModule):
    def read(self, source):
        table = pd.read_csv(Path(source, "labels.csv"))
        files = [Path(source, name) for name in table["file"]]
        return Samples(files, targets=table["number"].to_numpy(float))

    def fit_codec(self, train):
        return WaveCodec(scale=float(np.std([np.load(file) for file in train.inputs])))
