"""The command features.py --embed, and test-time augmentation of predict.py and evaluate.py."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_images

from lightfit.lightning_modules.embedding import embed
from lightfit.lightning_modules.nets import TextCNN
from lightfit.scripts import evaluate, predict
from lightfit.scripts.evaluation.nearest import find_nearest
from lightfit.scripts.features import main
from lightfit.scripts.inference.trained import load_trained

Trained = Callable[[str], str]


def test_embeddings_of_images(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each image, by which the head gives the logits; a bad one has its error."""
    checkpoint = trained("images")
    files = sorted(map(str, Path("images").glob("*/0[0-2].png")))
    Path("bad.png").write_bytes(b"no image")
    assert main([checkpoint, *files, "bad.png", "--embed", "--batch_size", "4", "-o", "e.parquet"]) == 1
    assert "1 of 7 inputs could not be read" in capsys.readouterr().err
    table = pd.read_parquet("e.parquet")
    assert table["input"].tolist() == [*files, "bad.png"]
    assert table["error"][6]
    assert not table["error"][:6].any()
    model = load_trained(checkpoint)
    net, x = model.model.net, model.codec.encode([Path(file) for file in files])
    assert net is not None
    rows = torch.tensor(table.iloc[:6, 1:-1].to_numpy(np.float32))
    with torch.no_grad():
        torch.testing.assert_close(net.head(rows) / 9, net(x))  # type: ignore[operator]


def test_nets_without_embeddings_and_several_inputs_to_draw(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained("text")
    assert main([checkpoint, "a good film", "a bad film", "--embed"]) == 2
    assert "has no linear or convolutional layer" in capsys.readouterr().err
    assert main([checkpoint, "one", "two"]) == 2
    assert "expected one input to draw, received 2: --embed takes any number" in capsys.readouterr().err


def test_embeddings_of_texts_of_any_length() -> None:
    """A batch is padded as in training."""
    x = torch.randint(2, 20, (3, 30))
    assert embed(TextCNN(vocab_size=20, num_classes=2, max_len=30), x).shape[0] == 3


def test_embeddings_of_tokens_and_maps() -> None:
    """The mean over positions, where the last layer gets one vector for each."""
    x = torch.randn(2, 3, 5)
    torch.testing.assert_close(embed(torch.nn.Linear(5, 2), x), x.mean(1))
    torch.testing.assert_close(embed(torch.nn.Conv1d(3, 2, 1), x), x.mean(2))


def test_test_time_augmentation(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """The logits are the mean of those of an image and its mirror image; other domains refuse."""
    checkpoint = trained("images")
    files = sorted(map(str, Path("images").glob("*/0*.png")))
    assert predict.main([checkpoint, *files, "--tta", "-o", "p.csv"]) == 0
    trained_model = load_trained(checkpoint)
    x = trained_model.codec.encode([Path(file) for file in files])
    net = trained_model.model.net
    assert net is not None
    with torch.no_grad():
        logits = (net(x) + net(x.flip(3))) / 2
    expected = trained_model.model.predict_from(logits).max(1).values  # type: ignore[operator]
    np.testing.assert_allclose(pd.read_csv("p.csv")["probability"], expected, atol=1e-5)
    capsys.readouterr()
    assert evaluate.main([checkpoint, "--tta", "-o", "e"]) == 0
    assert len(json.loads(Path("e/evaluation.json").read_text())["metrics"])
    capsys.readouterr()
    assert predict.main([trained("text"), "a good film", "--tta"]) == 2
    assert "--tta is for images, and this checkpoint reads text" in capsys.readouterr().err


@pytest.mark.slow
def test_nearest_training_images(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """They are in the report where there are wrong images and a training split, and are refused elsewhere."""
    known = torch.tensor([[1.0, 0], [0, 1], [3, 3]])
    similarity, index = find_nearest(torch.tensor([[0.0, 2], [5, 4]]), known, 2)
    assert index.tolist() == [[1, 2], [2, 0]]
    torch.testing.assert_close(similarity[0], torch.tensor([1, 0.5**0.5]))
    checkpoint = trained("images")
    make_images(Path("other/train"), per_class=6)
    make_images(Path("other/val"), per_class=3, first=40)
    for name in ("bright", "dark"):  # wrong labels: all of them are classified wrongly
        Path(f"other/val/{name}").rename(f"other/val/{name}_")
    Path("other/val/bright_").rename("other/val/dark")
    Path("other/val/dark_").rename("other/val/bright")
    assert evaluate.main([checkpoint, "--data.root", "other", "--split", "val", "--nearest", "-o", "e"]) == 0
    report = Path("e/report.html").read_text(encoding="utf-8")
    assert "Nearest training images" in report
    capsys.readouterr()
    assert evaluate.main([checkpoint, "--data.root", "other/val", "--nearest", "-o", "f"]) == 2
    assert "no training split beside the one to evaluate on" in capsys.readouterr().err
    assert evaluate.main([trained("text"), "--nearest", "-o", "g"]) == 2
    assert "--nearest is for images with classes" in capsys.readouterr().err
