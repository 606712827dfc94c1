"""Training samples that a checkpoint holds on request."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_series
from PIL import Image

from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import (
    DataModule,
    ImageDataModule,
    SeriesColumns,
    SeriesDataModule,
    TextDataModule,
    load_codec,
)
from lightfit.datamodules.codec import restore_codec, save_codec
from lightfit.datamodules.examples import MOST_CHARS, choose_rows, cut_text
from lightfit.datamodules.images.small_files import compress
from lightfit.datamodules.series.frame import read_frame
from lightfit.datamodules.tables.content import open_bytes
from lightfit.errors import CheckpointError, DataError

Fit = Callable[..., tuple[int, str, str]]


def keep(data: DataModule, count: int) -> Any:
    """Return the examples of a codec that was saved and restored, as in a checkpoint."""
    data.setup()
    data.keep_examples(count)
    return restore_codec(save_codec(data.codec)).examples


def test_rows_are_spread_over_classes_and_rows() -> None:
    labels = np.array([0] * 10 + [1] * 3 + [2] * 10)
    assert [labels[row] for row in choose_rows(labels, 6)] == [0, 0, 1, 1, 2, 2]
    assert [labels[row] for row in choose_rows(labels, 4)] == [0, 0, 1, 2]
    assert choose_rows(labels, 2) == [0, 13], "the first class and the last"
    assert choose_rows(labels[:2], 9) == [0, 1], "no more than there are"
    assert choose_rows(np.zeros((11, 2), np.float32), 3) == [0, 5, 10]


def test_texts_with_their_labels(reviews: Path) -> None:
    examples = keep(TextDataModule(str(reviews)), 4)
    assert [example["label"] for example in examples] == ["neg", "neg", "pos", "pos"]
    table = pd.read_csv(reviews).set_index("text")["label"]
    assert all(table[example["text"]] == example["label"] for example in examples)
    assert len(cut_text("word " * MOST_CHARS)) <= MOST_CHARS


def test_numbers_as_labels(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [f"house {index}" for index in range(30)], "price": np.arange(30) * 12_345.5})
    rows.to_csv(tmp_path / "houses.csv", index=False)
    examples = keep(TextDataModule("houses.csv", label_column="price", labels="numbers"), 3)
    for example in examples:
        true = rows.set_index("text")["price"][example["text"]]
        assert float(example["label"]) == pytest.approx(true, rel=1e-5, abs=0.1)


def test_images_as_files_that_a_browser_shows(images: Path) -> None:
    examples = keep(ImageDataModule(str(images), num_workers=0), 2)
    assert [example["label"] for example in examples] == ["bright", "dark"]
    for example in examples:
        original = images / example["label"] / example["name"]
        assert example["type"] == "image/png"
        pixels = [np.asarray(Image.open(file)) for file in (original, io.BytesIO(base64.b64decode(example["content"])))]
        np.testing.assert_array_equal(*pixels)


def test_large_images_are_reduced_and_strange_ones_refused() -> None:
    kind, content = compress(torch.zeros(1, 300, 600, dtype=torch.uint8), 100)
    assert (kind, Image.open(io.BytesIO(content)).size) == ("jpeg", (100, 50))
    with pytest.raises(DataError, match="images of 5 channels are no files that a browser shows: leave"):
        compress(torch.zeros(5, 8, 8, dtype=torch.uint8), 8)


def test_the_last_rows_of_series_can_be_forecast_from() -> None:
    tables = [make_series(first=10 * index).assign(city=city) for index, city in enumerate(("Bonn", "上海", "Rom"))]
    pd.concat(tables).to_csv("cities.csv", index=False)
    columns = SeriesColumns(series_id="city", known="wind")
    data = SeriesDataModule("cities.csv", target="load", columns=columns, lookback=48, horizon=24)
    examples = keep(data, 2)
    assert [example["name"] for example in examples] == ["Bonn.csv", "Rom.csv"]
    for example in examples:
        content = base64.b64decode(example["content"])
        (window,) = data.codec.last_windows(read_frame(open_bytes("a.csv", content)).table)
        rows = pd.read_csv(io.BytesIO(content))
        assert len(rows) == 48 + 24, "what is known ahead stands in the rows of the forecast"
        assert rows["load"].notna().sum() == 48
        train_end = data.windows("train").last_rows(0, 1)[1]
        assert window.times[0] == train_end + np.timedelta64(1, "h")  # type: ignore[union-attr]


def test_a_forecast_knows_the_rows_before_it() -> None:
    table = make_series()
    table.to_csv("series.csv", index=False)
    data = SeriesDataModule("series.csv", target="load", lookback=48, horizon=24, diff=1)
    data.setup()
    (window,) = data.codec.last_windows(read_frame(Path("series.csv")).table)
    known = data.codec.list_known(window)  # type: ignore[arg-type]
    assert list(known) == ["date", "load"]
    np.testing.assert_allclose(known["load"], table["load"][-48:], err_msg="as the table has it, not its differences")
    assert known["date"].iloc[-1] == table["date"].iloc[-1]


def test_what_cannot_be_kept(reviews: Path) -> None:
    data = TextDataModule(str(reviews))
    data.setup()
    with pytest.raises(ValueError, match="expected `keep_examples` from 1 to 100, received 0"):
        data.keep_examples(0)

    class Own(DataModule):
        pass

    with pytest.raises(DataError, match=r"Own keeps no examples: define list_examples\(count\), or leave"):
        Own().list_examples(1)
    data.keep_examples(2)
    for forged in ([{"text": 1}], [{"name": "a"}], [{"text": "a", "code": "b"}], "text", [{"text": "a" * 2**22}]):
        with pytest.raises(CheckpointError, match="examples are damaged or forged: expected at most 100"):
            restore_codec(save_codec(data.codec) | {"examples": forged})


@pytest.mark.slow
def test_the_flag_and_a_resumed_run(reviews: Path, fit: Fit) -> None:
    args = ("--task", "text", "--data.source", reviews, "--quiet", "--trainer.max_epochs")
    code, _, problem = fit(*args, 1, "--keep_examples", 0)
    assert code == 1
    assert "expected --keep_examples from 1 to 100, received 0" in problem
    assert fit(*args, 1, "--keep_examples", 2)[0] == 0
    assert fit(*args, 2, "--resume", "auto")[0] == 0
    checkpoint = read_checkpoint("runs/text/version_0/checkpoints/last.ckpt")
    assert checkpoint["epoch"] == 1
    assert [example["label"] for example in load_codec(checkpoint).examples] == ["neg", "pos"]
