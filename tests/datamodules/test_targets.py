"""What a net predicts, encoded, scaled, decoded, and in checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lightfit.datamodules import Classes, Codec, ImageCodec, LabelCodec, LabelSets, Numbers, Samples, Target
from lightfit.datamodules.codec import restore_codec, save_codec
from lightfit.errors import CheckpointError, DataError

TARGETS = [
    Classes(["neg", "pos"]),
    LabelSets(["sport", "politics", "art"]),
    Numbers(["stars", "price"], mean=[3.0, 100.0], std=[2.0, 50.0]),
]


def image_codec(target: Target) -> ImageCodec:
    return ImageCodec(target=target, image_size=(8, 8), border=1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind)
def test_a_codec_keeps_its_target(target: Target) -> None:
    codec = image_codec(target)
    again = restore_codec(json.loads(json.dumps(save_codec(codec))))
    assert isinstance(again, ImageCodec)
    assert again.target == target
    assert again.to_dict() == codec.to_dict()
    assert codec.metadata()["target"]["kind"] == target.kind
    assert codec.num_classes == len(target.names)


def test_classes_are_in_checkpoints_as_before() -> None:
    state = image_codec(TARGETS[0]).to_dict()
    assert state["class_names"] == ["neg", "pos"]
    assert "target" not in state
    assert image_codec(TARGETS[0]).num_outputs is None
    assert image_codec(TARGETS[2]).class_names == []


def test_a_forged_target_is_refused() -> None:
    state = image_codec(TARGETS[1]).to_dict()
    for held in ({"kind": "code", "names": []}, "numbers", None):
        with pytest.raises(CheckpointError, match="cannot be built here: .* expected one of classes, multi_label, num"):
            restore_codec({"class_path": "lightfit.ImageCodec", "state": {**state, "target": held}})
    with pytest.raises(ValueError, match="expected a mean and a standard deviation for each of 1 numbers, received 0"):
        ImageCodec.from_dict({**state, "target": {"kind": "numbers", "names": ["a"], "mean": [], "std": []}})


def test_a_custom_codec_needs_its_class_names_alone() -> None:
    class Words(LabelCodec):
        def __init__(self, class_names: list[str]) -> None:
            self.class_names = class_names

        def encode(self, samples: Any) -> torch.Tensor:
            return torch.zeros(len(samples), 1)

    codec: Codec = Words(["a", "b"])
    assert isinstance(codec, LabelCodec)
    assert (codec.num_classes, codec.target, codec.to_dict()) == (2, Classes(["a", "b"]), {"class_names": ["a", "b"]})
    table = codec.decode(["one", "two"], torch.tensor([[0.25, 0.75], [0.9, 0.1]]), top=2)
    assert table.to_dict("list") == {
        "label": ["b", "a"],
        "probability": [0.75, 0.9],
        "label_2": ["a", "b"],
        "probability_2": [0.25, 0.1],
        "input": ["one", "two"],
    }


def test_sets_of_labels() -> None:
    target = LabelSets.fit([{"b"}, set(), {"c", "a"}])
    assert target.names == ["a", "b", "c"]
    assert target.encode([["a", "c"], []]).tolist() == [[1, 0, 1], [0, 0, 0]]
    with pytest.raises(DataError, match=r"t.csv, line 3: the label 'd' was never seen in training; .* has: a, b, c"):
        target.encode([{"a"}, {"d"}], ["t.csv, line 2", "t.csv, line 3"])
    with pytest.raises(DataError, match="received only empty sets of labels"):
        LabelSets.fit([[], []])
    probabilities = torch.tensor([[0.9, 0.3, 0.4], [0.1, 0.2, 0.3]])
    thresholds = torch.tensor([0.5, 0.3, 0.5]).expand(2, 3)
    table = image_codec(target).decode([Path("a.png"), Path("b.png")], torch.stack([probabilities, thresholds], 2))
    assert table.to_dict("list") == {
        "labels": ["a|b", ""],
        "label": ["a", "c"],
        "probability": [0.9, 0.3],
        "file": ["a.png", "b.png"],
    }


def test_numbers_are_scaled_by_train_and_back() -> None:
    values = torch.tensor([[1.0, 7], [3, 7], [5, 7]])
    target = Numbers.fit(values, ["stars", "error"])
    assert target.mean == [3, 7]
    assert target.std == [pytest.approx((8 / 3) ** 0.5), 1.0]
    scaled = target.scale(values)
    assert scaled.dtype == torch.float32
    assert scaled[:, 0].std(correction=0).item() == pytest.approx(1)
    assert torch.allclose(target.unscale(scaled), values.double(), atol=1e-6)
    predictions = torch.stack([scaled, scaled - 1, scaled + torch.tensor([1.0, -2])], 2)
    columns = target.decode(predictions)
    assert columns["stars"] == pytest.approx([1, 3, 5])
    assert columns["stars_low"] == pytest.approx([1 - target.std[0], 3 - target.std[0], 5 - target.std[0]], rel=1e-5)
    assert columns["stars_high"][0] == pytest.approx(1 + target.std[0], rel=1e-5)
    assert columns["predicted_error"] == [7, 7, 7], "a table of predictions has a column `error` already"
    assert columns["predicted_error_low"] == [None] * 3, "below its upper end: there is no interval"
    with pytest.raises(DataError, match="training sample 2 is NaN or infinite"):
        Numbers.fit(torch.tensor([1.0, float("nan")]), ["a"])


def test_batches_of_a_codec_hold_scaled_numbers() -> None:
    class Lengths(LabelCodec):
        def __init__(self, target: Target) -> None:
            self.target = target

        def encode(self, samples: Any) -> torch.Tensor:
            return torch.tensor([[float(len(sample))] for sample in samples])

    samples = Samples(["a", "bb", "ccc"], targets=[10.0, 20.0, 30.0])
    codec = Lengths(Numbers.fit(samples.target_tensor(), ["cost"]))
    x, y = codec.batches(samples)[torch.tensor([2, 0])]
    assert (x.tolist(), y.shape) == ([[3.0], [1.0]], (2, 1))
    assert codec.target.unscale(y).flatten().tolist() == pytest.approx([30, 10])  # type: ignore[attr-defined]
    assert codec.units == {"mean": [20.0], "std": [pytest.approx((200 / 3) ** 0.5)]}
