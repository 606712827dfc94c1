"""Word vectors of files: formats, errors, nets, and runs with them."""

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import make_reviews, write_csv
from safetensors.torch import save_file
from torch.utils.data import DataLoader, TensorDataset

from lightfit import TextClassifier
from lightfit.checkpoint import read_checkpoint
from lightfit.datamodules import TextDataModule
from lightfit.errors import DataError, UsageError
from lightfit.lightning_modules.nets import TextCNN, WordAverage, WordEmbedding
from lightfit.lightning_modules.nets.word_vectors import EXACT, NEAR, NONE, read_size, read_vectors
from lightfit.scripts.export import main as export
from lightfit.scripts.predict import main as predict

VECTORS = {"film": [1, 2, 3], "The": [4, 5, 6], "the": [7, 8, 9], "Good": [0.5, -1e-3, 2e3], "bad": [0, 0, 1]}
WORDS = ["<unk>", "<pad>", "the", "good", "film", "never"]
Fit = Callable[..., tuple[int, str, str]]


def write_vectors(path: Path, vectors: dict[str, list[float]], *, header: bool = False, end: str = "\n") -> Path:
    lines = [" ".join([word, *map(repr, values)]) for word, values in vectors.items()]
    if header:
        lines.insert(0, f"{len(vectors)} {len(next(iter(vectors.values())))}")
    data = (end.join(lines) + end).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_safetensors(path: Path, vectors: dict[str, list[float]]) -> Path:
    save_file({"vectors": torch.tensor(list(vectors.values())).float()}, path, {"words": json.dumps([*vectors])})
    return path


@pytest.mark.parametrize(
    "kind", ["glove.txt", "word2vec.txt", "fast_text.vec", "glove.txt.gz", "tabs", "safe.safetensors"]
)
def test_formats(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind.endswith("safetensors"):
        write_safetensors(path, VECTORS)
    else:
        write_vectors(path, VECTORS, header=kind[0] in "wf", end=" \r\n" if kind[0] == "f" else "\n")
    if kind == "tabs":
        path.write_bytes(path.read_bytes().replace(b" ", b"\t"))
    assert read_size(path) == 3
    found = read_vectors(path, WORDS)
    assert found.matches.tolist() == [NONE, NONE, EXACT, NEAR, EXACT, NONE]
    expected = [[0, 0, 0], [0, 0, 0], [7, 8, 9], [0.5, -1e-3, 2e3], [1, 2, 3], [0, 0, 0]]
    torch.testing.assert_close(found.values, torch.tensor(expected))


def test_the_first_of_two_and_words_with_blanks(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("\ufefffilm 1 2\n. . . 3 4\nfilm 5 6\n\n caf\u00e9 7 8\nCAFÉ 1 1\n\u00a0 2 2\n")
    found = read_vectors(tmp_path / "v.txt", ["<unk>", "<pad>", "film", "café"])
    assert found.values.tolist() == [[0, 0], [0, 0], [1, 2], [1, 1]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("film 1 2\nthe 1\n", r"v.txt', line 2: expected 2 numbers after the word, as in the lines before, received 1"),
        ("film 1 2\nthe 1 2 3\n", r"line 2: expected 2 numbers .* received 3"),
        ("2 3\nfilm 1 2\n", r"line 2: expected 3 numbers .* received 2"),
        ("film 1 2\nthe 1 two\n", r"line 2: expected 2 numbers after the word, received 'two'"),
        ("film 1 2\nthe 1 nan\n", r"line 2: a value is NaN or infinite"),
        ("film\nthe\n", r"line 1: expected a word and its numbers, separated by blanks"),
        ("", r"holds no word vectors"),
        ("2 3\n", r"holds no word vectors"),
        ("2 3\nfilm \0\x01\x02\n", r"line 2 is no text .* binary format"),
        ("other 1 2\n", r"none of the 6 words, such as 'the', 'good', .*`tokenizer`"),
        ("PK\x03\x04film 1 2\n", r"zip archive: unpack it"),
        ("x" * 2**20, r"line 1 is no text of a word and its numbers"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(lines: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text(lines)
    with pytest.raises(DataError, match=message):
        read_vectors(tmp_path / "v.txt", WORDS)


def test_damaged_files(tmp_path: Path) -> None:
    whole = write_vectors(tmp_path / "a.gz", {f"w{index}": [0.1 * index] * 3 for index in range(2000)}).read_bytes()
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged or cut off"):
        read_vectors(tmp_path / "a.gz", ["w1999"])
    save_file({"a": torch.zeros(2, 3)}, tmp_path / "b.safetensors", {"words": '["film"]'})
    with pytest.raises(DataError, match=r"one tensor \(num_words, size\).*received a tensor \(2, 3\) and 1 words"):
        read_size(tmp_path / "b.safetensors")
    (tmp_path / "c.safetensors").write_bytes(b"film 1 2")
    with pytest.raises(DataError, match="no safetensors file with word vectors"):
        read_size(tmp_path / "c.safetensors")
    with pytest.raises(FileNotFoundError, match="no word vectors at"):
        read_size(tmp_path / "none.txt")
    write_safetensors(tmp_path / "d.safetensors", {"film": [float("nan")]})
    with pytest.raises(DataError, match="row 0: a value is NaN or infinite"):
        read_vectors(tmp_path / "d.safetensors", WORDS)


def test_a_file_that_ends_too_early_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "v.vec").write_text("1000 2\nfilm 1 2\n")
    read_vectors(tmp_path / "v.vec", WORDS)
    assert "has 1 of the 1,000 words that its first line names" in caplog.text


def test_an_embedding_says_what_it_covers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_vectors(tmp_path / "v.txt", VECTORS | {"<pad>": [9.0, 9.0, 9.0], "<unk>": [1.0, 1.0, 1.0]})
    embedding = WordEmbedding(6, None, default=50, vectors=str(path), freeze=True)
    assert embedding.weight.shape == (6, 3)
    assert not embedding.weight.requires_grad
    with caplog.at_level(logging.INFO):
        embedding.load_vectors(WORDS)
    assert "vectors of 3 numbers for 3 of 4 words (1 by another case) from" in caplog.text
    assert embedding.weight[:3].tolist() == [[1, 1, 1], [0, 0, 0], [7, 8, 9]]
    with pytest.raises(UsageError, match="the net has 6 ids for 3 words"):
        embedding.load_vectors(WORDS[:3])
    with pytest.raises(UsageError, match="vectors of 3 numbers, and the net words of 5: leave out `embedding_size`"):
        WordEmbedding(6, 5, default=50, vectors=str(path)).load_vectors(WORDS)
    with pytest.raises(ValueError, match="`freeze_vectors` needs `vectors`"):
        WordAverage(6, freeze_vectors=True)
    with pytest.raises(ValueError, match="`embedding_size` of at least 1"):
        TextCNN(6, max_len=10, embedding_size=0)


def test_the_average_of_words() -> None:
    net = WordAverage(5, embedding_size=2, num_classes=3).eval()
    with torch.no_grad():
        net.embedding.weight.copy_(torch.tensor([[8.0, 0], [0, 0], [1, 2], [3, 4], [5, 6]]))
    x = torch.tensor([[2, 3, 1, 1], [4, 1, 1, 1], [1, 1, 1, 1]])
    torch.testing.assert_close(net(x), net.dense(torch.tensor([[2.0, 3.0], [5.0, 6.0], [0.0, 0.0]])))
    torch.testing.assert_close(net(x[:2, :2]), net(x[:2]))  # padding changes nothing
    assert WordAverage(5, hidden_size=4)(x).shape == (3, 1)
    assert WordAverage(5, num_outputs=2)(x).shape == (3, 2)
    assert TextCNN(5, max_len=10, embedding_size=7)(torch.zeros(2, 10, dtype=torch.int64)).shape == (2, 1)


def test_training_in_python(reviews: Path) -> None:
    """Vectors are loaded by fit, and words must be known."""
    data = TextDataModule(str(reviews), max_len=None)
    data.setup()
    words = data.codec.vocabulary.itos
    path = write_vectors(Path("v.txt"), {word: [float(index), 1.0] for index, word in enumerate(words[2:], 2)})
    trainer: dict[str, Any] = {"max_epochs": 1, "logger": False, "enable_checkpointing": False}
    trainer |= {
        "limit_val_batches": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    model = TextClassifier(WordAverage(len(words), vectors=str(path), freeze_vectors=True))
    pl.Trainer(**trainer).fit(model, datamodule=data)
    assert model.net.embedding.weight[2:, 0].tolist() == list(range(2, len(words)))
    loader = DataLoader(TensorDataset(torch.ones(4, 3, dtype=torch.int64), torch.tensor([0, 1, 0, 1])))
    other = TextClassifier(WordAverage(len(words), vectors=str(path)))
    with pytest.raises(UsageError, match=r"`vectors` needs the words .* load_vectors\(words\)"):
        pl.Trainer(**trainer).fit(other, loader, loader)
    other.net.embedding.load_vectors(words)
    pl.Trainer(**trainer).fit(other, loader, loader)


NET = ("--model.net", "lightfit.nets.WordAverage", "--model.net.vectors", "v.txt", "--model.optimizer", "Adam")


@pytest.mark.slow
def test_a_run_needs_the_file_at_its_beginning_alone(fit: Fit, workplace: Path) -> None:
    write_csv(workplace / "reviews.csv", make_reviews())
    words = sorted({word for text, _ in make_reviews() for word in text.split()})
    write_vectors(workplace / "v.txt", {word: [index / 10, 1.0, -1.0] for index, word in enumerate(words)})
    run = ("--task", "text", "--data.source", "reviews.csv", "--data.ngrams", 1, *NET, "--trainer.max_epochs", 4)
    code, out, err = fit(*run)
    assert code == 0, err
    assert "vectors of 3 numbers for " in out
    whole = read_checkpoint("runs/text/version_0/checkpoints/last.ckpt")
    assert whole["hyper_parameters"]["net"]["init_args"]["embedding_size"] == 3
    code, _, err = fit(*run[:-1], 2, "--quiet")
    assert code == 0, err

    Path("v.txt").unlink()
    code, out, err = fit(*run, "--resume", "runs/text/version_1")
    assert code == 0, err
    assert "vectors of 3 numbers" not in out
    resumed = read_checkpoint("runs/text/version_1/checkpoints/last.ckpt")
    assert whole["state_dict"].keys() == resumed["state_dict"].keys()
    assert all(torch.equal(value, resumed["state_dict"][name]) for name, value in whole["state_dict"].items())
    checkpoint = "runs/text/version_1/checkpoints/last.ckpt"
    assert predict([checkpoint, "a good film"]) == 0
    assert export([checkpoint, "--format", "onnx", "-o", "model.onnx"]) == 0
    code, _, err = fit(*run)
    assert code != 0
    assert "no word vectors at 'v.txt'" in err


def test_a_frozen_embedding_stays_as_in_the_file(fit: Fit, workplace: Path) -> None:
    write_csv(workplace / "reviews.csv", make_reviews())
    words = sorted({word for text, _ in make_reviews() for word in text.split()})
    write_vectors(workplace / "v.txt", {word: [index / 10, 1.0, -1.0] for index, word in enumerate(words)})
    code, _, err = fit(
        "--task",
        "imdb_cnn",
        "--data.source",
        "reviews.csv",
        "--model.net.vectors",
        "v.txt",
        "--model.net.freeze_vectors",
        "true",
        "--trainer.max_epochs",
        1,
        "--quiet",
    )
    assert code == 0, err
    model = TextClassifier.load("runs/imdb_cnn/version_0/checkpoints/last.ckpt")
    assert set(model.net.embedding.weight[:, 1].tolist()) == {0.0, 1.0}
