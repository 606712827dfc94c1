"""Explanations: as records, by predict.py --explain, and in the report of evaluate.py."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from lightfit.datamodules import Classes, ImageCodec, LabelSets, Numbers, Target, TextCodec
from lightfit.datamodules.text.vocabulary import Vocabulary
from lightfit.errors import UsageError
from lightfit.lightning_modules import ImageClassifier, LightModel, MultiLabelClassifier, Regressor, TextClassifier
from lightfit.lightning_modules.nets import ImageCNN, NaiveBayesBag, TextCNN, WordAverage
from lightfit.scripts import evaluate, features
from lightfit.scripts.evaluation.words import MOST_CLASSES, tabulate_words
from lightfit.scripts.inference.explanation import explain_samples, name_picture, overlay_map
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.trained import Trained, load_trained
from lightfit.scripts.predict import main

Ready = Callable[[str], str]
PAD = 1
WORDS = ("not", "good", "great", "film", "bad", "不", "好", "a")


def make_codec(target: Target, max_len: int | None = None) -> TextCodec:
    return TextCodec(
        vocabulary=Vocabulary({word: 9 - place for place, word in enumerate(WORDS)}),
        target=target,
        tokenizer="lightfit.datamodules.text.tokenize_any",
        max_len=max_len,
        bucket=max_len is None,
    )


def make_trained(net: nn.Module, target: Target, model: type[LightModel] = TextClassifier, **more: Any) -> Trained:
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    for module in net.modules():
        if isinstance(module, nn.Embedding):
            module.weight.data[PAD] = 0
    return Trained(Path("x.ckpt"), {}, model(net, **more).eval(), make_codec(target, getattr(net, "max_len", None)))


def add_up(item: Any) -> float:
    return item.base + sum(part["weight"] for part in item.items) + item.rest + item.missing


def test_words_speak_for_the_predicted_class() -> None:
    trained = make_trained(WordAverage(10, embedding_size=4), Classes(["neg", "pos"]))
    texts = ["not a good film", "不好看", "", "bad BAD xyzzy"]
    found = explain_samples(trained, texts, 3)
    with torch.no_grad():
        logits = trained.model(trained.codec.encode(texts))[:, 0].tolist()
    for item, logit in zip(found, logits, strict=True):
        assert item.of == ("pos" if logit > 0 else "neg")
        assert item.output == pytest.approx(abs(logit), rel=1e-5)
        assert add_up(item) == pytest.approx(item.output, abs=1e-5)
        assert (item.method, item.unit, item.missing, item.warning) == ("exact", "logit", 0.0, "")
        assert [abs(part["weight"]) for part in item.items] == sorted(
            (abs(part["weight"]) for part in item.items), reverse=True
        )
    assert len(found[0].items) == 3
    assert {part["input"]: part["spans"] for part in found[1].items} == {
        "不": [[0, 1]],
        "好": [[1, 2]],
        "看 (unknown)": [[2, 3]],
    }
    assert [part.get("unknown", False) for part in found[1].items].count(True) == 1
    assert found[2].items == []
    assert found[2].to_text() == ""
    assert sorted(part["spans"][0] for part in found[3].items) == [[0, 3], [4, 7], [8, 13]]
    # The other class has the opposite weights, and the pieces survive JSON.
    (other,) = explain_samples(trained, texts[:1], 3, rank=2)
    assert [part["weight"] for part in other.items] == [-part["weight"] for part in found[0].items]
    plain = json.loads(json.dumps([item.to_dict() for item in found], allow_nan=False))
    assert plain[0]["items"] == found[0].items
    assert "warning" not in plain[0]
    assert explain_samples(trained, []) == []


def test_labels_numbers_and_classes_by_rank() -> None:
    labels = make_trained(
        WordAverage(10, num_outputs=3, embedding_size=4),
        LabelSets(["x", "y", "z"]),
        MultiLabelClassifier,
        num_outputs=3,
    )
    with torch.no_grad():
        order = labels.model(labels.codec.encode(["good film"]))[0].argsort(descending=True).tolist()
    found = [explain_samples(labels, ["good film"], rank=rank)[0] for rank in (1, 2, 3)]
    assert [item.of for item in found] == ["xyz"[index] for index in order]
    with pytest.raises(UsageError, match="expected a rank from 1 to 3, the number of outputs, received 4"):
        explain_samples(labels, ["good film"], rank=4)
    target = Numbers(["price", "size"], mean=[100.0, 1.0], std=[10.0, 0.1])
    units = {"mean": [100.0, 1.0], "std": [10.0, 0.1]}
    numbers = make_trained(
        WordAverage(10, num_outputs=2, embedding_size=4), target, Regressor, num_outputs=2, units=units
    )
    with torch.no_grad():
        scaled = numbers.model(numbers.codec.encode(["good film"]))[0].double()
    for rank, name in enumerate(("price", "size"), 1):
        (item,) = explain_samples(numbers, ["good film"], rank=rank)
        assert (item.of, item.unit) == (name, name)
        assert item.output == pytest.approx(float(target.unscale(scaled)[rank - 1]), rel=1e-5)  # in its own units
        assert add_up(item) == pytest.approx(item.output, rel=1e-5)


def test_other_nets_are_explained_by_integrated_gradients_and_pairs_have_names() -> None:
    trained = make_trained(TextCNN(10, max_len=12, num_classes=3), Classes(["a", "b", "c"]))
    predictor = Predictor(trained.model, trained.codec, [torch.device("cpu")])
    (item,) = explain_samples(predictor, ["not good film 不好 film"], 2)
    assert (item.method, len(item.items)) == ("integrated gradients", 2)
    assert add_up(item) == pytest.approx(item.output, abs=1e-4)
    assert predictor(trained.codec.encode(["good"])).shape == (1, 3)  # the replica is back
    pairs = NaiveBayesBag(10, num_buckets=100)
    nn.init.ones_(pairs.log_count_ratio)
    pairs.log_count_ratio[1] = 0
    (item,) = explain_samples(make_trained(pairs, Classes(["neg", "pos"])), ["not xyz film"])
    assert {part["input"]: part["spans"] for part in item.items} == {
        "not": [[0, 3]],
        "xyz (unknown)": [[4, 7]],
        "film": [[8, 12]],
        "not xyz (unknown)": [[0, 7]],
        "xyz film (unknown)": [[4, 12]],
    }


def test_maps_of_images() -> None:
    """The cells add up to the output; the pixels of the picture are red where the largest weight is."""
    codec = ImageCodec(
        target=Classes(["a", "b"]), image_size=(20, 36), border=1.0, mean=(0.5,) * 3, std=(0.25,) * 3, resize="squish"
    )
    torch.manual_seed(0)
    trained = Trained(Path("x.ckpt"), {}, ImageClassifier(ImageCNN(num_classes=2)).eval(), codec)
    image = torch.randint(0, 256, (3, 20, 36), dtype=torch.uint8)
    (item,) = explain_samples(trained, [image], 4)
    assert item.map is not None
    assert item.picture is not None
    weights = np.array(item.map["weights"])
    assert (weights.shape, item.map["size"], item.picture.shape) == ((16, 16), [20, 36], (20, 36, 3))
    assert item.base + weights.sum() + item.missing == pytest.approx(item.output, abs=1e-4)
    left, top, right, bottom = item.items[0]["box"]
    strongest = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    assert item.items[0]["weight"] == weights[strongest]
    assert [top * 16 // 20, left * 16 // 36] == list(strongest)
    assert [(bottom - 1) * 16 // 20, (right - 1) * 16 // 36] == list(strongest)
    red, _, blue = item.picture[top, left].astype(int)
    assert (red > blue) == (item.items[0]["weight"] > 0)
    plain = item.to_dict(picture=True)
    png = base64.b64decode(plain["picture"].removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), item.picture)
    assert "picture" not in item.to_dict()
    flat = overlay_map(np.full((2, 2, 3), 0.5), np.zeros((1, 1)))
    assert (flat == 128).all()  # nothing decided


def test_names_of_pictures_differ() -> None:
    names = [name_picture(Path(path)) for path in ("a/1.png", "b/1.png", "a/1.jpg", "/x/1.PNG")]
    assert names == ["a_1.png", "b_1.png", "a_1.jpg.png", "x_1.PNG"]
    assert name_picture(Path("a/1.png"), 2) == "a_1.2.png"


def test_predict_explains_texts(trained: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("text")
    capsys.readouterr()
    assert main([checkpoint, "a good film", "awful film", "xyzzy", "--explain", "2"]) == 0
    out = capsys.readouterr().out
    assert "good +0." in out.splitlines()[1]
    assert "awful +0." in out.splitlines()[2]
    assert main([checkpoint, "a good film", "", "--explain", "--top", "2", "-o", "e.csv"]) == 1
    table = pd.read_csv("e.csv", keep_default_na=False)
    assert list(table)[-3:] == ["explanation", "explanation_2", "error"]
    assert table["explanation"][0].startswith("good +")
    assert table["explanation_2"][0].startswith("good -")
    assert table["explanation"][1] == ""
    # In a batch of one, or of all, the same.
    assert main([checkpoint, "a good film", "", "--explain", "--top", "2", "--batch_size", "1", "-o", "f.csv"]) == 1
    pd.testing.assert_frame_equal(pd.read_csv("f.csv"), pd.read_csv("e.csv"))


def test_wrong_numbers_and_flags_say_what_to_do(trained: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("text")
    capsys.readouterr()
    for value in ("0", "-1", "a good film"):
        with pytest.raises(SystemExit, match="2"):
            main([checkpoint, "fine", f"--explain={value}"])
        error = " ".join(capsys.readouterr().err.split())
        assert f"expected the number of parts to list, at least 1, received '{value}': leave it out for 5" in error
    assert main([checkpoint, "fine", "--explain_dir", "x"]) == 2
    assert "--explain_dir is for the pictures of --explain: add --explain" in capsys.readouterr().err
    assert main([checkpoint, "fine", "--explain", "--explain_dir", "x"]) == 2
    assert "--explain_dir is for pictures, and this checkpoint reads text" in capsys.readouterr().err
    assert features.main([checkpoint, "fine"]) == 2
    assert "NgramBag has no convolution whose maps could be drawn: see what decided by" in capsys.readouterr().err


def test_predict_explains_images(trained: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("images")
    capsys.readouterr()
    files = ["images/bright/00.png", "images/dark/01.png"]
    assert main([checkpoint, *files, "--explain", "1"]) == 0
    assert " x " in capsys.readouterr().out.splitlines()[1]
    assert not list(Path().glob("*_explained"))
    assert main([checkpoint, *files, "--explain", "1", "--tta", "-o", "e.csv"]) == 0
    assert "pictures of what decided: e_explained" in capsys.readouterr().out
    table = pd.read_csv("e.csv")
    assert [Path(path).name for path in table["picture"]] == ["images_bright_00.png", "images_dark_01.png"]
    codec: Any = load_trained(checkpoint).codec
    for path in table["picture"]:
        with Image.open(path) as picture:
            assert picture.size == codec.image_size[::-1]
    assert main([checkpoint, *files, "--explain", "1", "-o", "f.csv", "--explain_dir", "e_explained"]) == 2
    assert "'e_explained' exists, where the pictures of --explain go" in capsys.readouterr().err


def test_predict_explains_series(trained: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("series")
    assert main([checkpoint, "series.csv", "--explain", "3", "-o", "e.csv"]) == 0
    table = pd.read_csv("e.csv", keep_default_na=False)
    assert table["explanation"][0].startswith("load 2024-01-")
    assert (table["explanation"][1:] == "").all()
    assert main([checkpoint, "series.csv", "--explain", "--horizon", "30"]) == 2
    assert "--explain is of the 24 steps of the training, received --horizon 30" in capsys.readouterr().err
    ready = load_trained(checkpoint)
    from lightfit.scripts.inference.inputs import choose_inputs

    samples = choose_inputs(ready).read(["series.csv"])
    (item,) = explain_samples(ready, samples, 2)
    assert item.map is not None
    assert (item.of, item.unit, item.map["columns"]) == ("load", "load", ["load"])
    assert item.output == pytest.approx(table["load"].astype(float).mean(), rel=1e-4)
    assert item.base + np.sum(item.map["weights"]) + item.missing == pytest.approx(item.output, rel=1e-5)
    assert item.map["steps"] == list(range(-48, 0))
    assert item.map["times"][-1] == "2024-01-10 23:00:00"  # the last of 240 hours
    strongest = item.items[0]
    assert item.map["times"][item.map["steps"].index(strongest["step"])] == strongest["time"]


def test_words_that_decide_stand_in_the_report(trained: Ready) -> None:
    checkpoint = trained("text")
    assert evaluate.main([checkpoint, "-o", "e"]) == 0
    tables = json.loads(Path("e/evaluation.json").read_text(encoding="utf-8"))["tables"]
    words = {name: [row["word"] for row in tables[f"words that decide: {name}"]] for name in ("neg", "pos")}
    assert {"good", "great"} & set(words["pos"])
    assert {"bad", "awful"} & set(words["neg"])
    assert not set(words["pos"]) & set(words["neg"])
    assert all(row["weight"] > 0 for row in tables["words that decide: pos"])
    assert "words that decide: pos" in Path("e/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_wrong_texts_have_the_words_that_decided(trained: Ready) -> None:
    checkpoint = trained("text")
    table = pd.read_csv("reviews.csv")
    table["label"] = table["label"].map({"pos": "neg", "neg": "pos"})
    table.to_csv("swapped.csv", index=False)
    assert evaluate.main([checkpoint, "--data.source", "swapped.csv", "-o", "e"]) == 0
    wrong = pd.read_csv("e/most_wrong.csv")
    assert len(wrong)
    for predicted, words in zip(wrong["predicted"], wrong["words that decide"], strict=True):
        assert "+" in words.partition(";")[0]  # what speaks for the class that was predicted
        names = ("good", "fine", "great", "lovely") if predicted == "pos" else ("bad", "awful", "poor", "dreadful")
        assert any(name in words for name in names)


def test_words_of_many_classes_and_of_numbers() -> None:
    """Of more than 20 classes the most frequent ones; of a number what changes it most, either way, in its units."""
    codec = make_codec(Classes([f"class {index}" for index in range(30)]))
    tables = tabulate_words(torch.randn(10, 30), codec, torch.arange(30))
    assert list(tables) == [f"words that decide: class {index}" for index in range(10, 30)]
    assert len(tables) == MOST_CLASSES
    numbers = make_codec(Numbers(["price"], mean=[0.0], std=[10.0]))
    (table,) = tabulate_words(torch.tensor([0.0, 0, 1, -2, *[0] * 6])[:, None], numbers).values()
    assert table.to_dict("list") == {"word": ["good", "not"], "weight": [-20.0, 10.0]}
