"""Random augmentation that depends on (seed, epoch, sample) alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from lightfit.datamodules import DataError, ImageTransforms
from lightfit.datamodules.images.augmentation import TRIES, draw_boxes, draw_flips, draw_uniform, hide_squares, resample
from lightfit.datamodules.images.batches import SingleBatches, StackedBatches
from lightfit.datamodules.images.store import DecodedImages
from lightfit.datamodules.images.transforms import choose_size

INDEX = torch.arange(10_000)


def test_numbers_are_a_function_of_seed_epoch_and_sample() -> None:
    numbers = draw_uniform(3, 5, INDEX, 4)
    some = torch.tensor([17, 4242, 9])
    torch.testing.assert_close(draw_uniform(3, 5, some, 4), numbers[some], rtol=0, atol=0)
    for other in (draw_uniform(4, 5, INDEX, 4), draw_uniform(3, 6, INDEX, 4)):
        assert abs(float(np.corrcoef(other.flatten(), numbers.flatten())[0, 1])) < 0.02
    assert 0 <= numbers.min() < 0.001
    assert 0.999 < numbers.max() < 1
    torch.testing.assert_close(numbers.mean(0), torch.full((4,), 0.5, dtype=torch.float64), atol=0.01, rtol=0)
    assert np.abs(np.corrcoef(numbers.T.numpy()) - np.eye(4)).max() < 0.05


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
def test_each_image_is_flipped_in_the_given_fraction_of_epochs(probability: float) -> None:
    flips = torch.stack([draw_flips(1, epoch, INDEX, probability) for epoch in range(8)]).float()
    torch.testing.assert_close(flips.mean(0), torch.full((len(INDEX),), probability))
    torch.testing.assert_close(flips.mean(1), torch.full((8,), probability), atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (20, 200), (200, 20)])
def test_boxes_are_drawn_as_torchvision_draws_them(size: tuple[int, int]) -> None:
    """Compare distributions, since the random numbers differ."""
    scale, ratio = (0.08, 1.0), (3 / 4, 4 / 3)
    boxes = draw_boxes(draw_uniform(0, 0, INDEX, 2 * TRIES + 2), *size, scale=scale, ratio=ratio)
    top, left, height, width = boxes.T
    assert top.min() >= 0
    assert left.min() >= 0
    assert (top + height).max() <= size[0]
    assert (left + width).max() <= size[1]
    torch.manual_seed(0)
    image, peer = torch.zeros(3, *size), v2.RandomResizedCrop(8, scale=scale, ratio=ratio)
    theirs = torch.tensor(
        [[p[k] for k in ("top", "left", "height", "width")] for p in (peer.make_params([image]) for _ in range(3000))]
    )
    torch.testing.assert_close(boxes.mean(0), theirs.double().mean(0), rtol=0.06, atol=1)
    torch.testing.assert_close(boxes.std(0), theirs.double().std(0), rtol=0.08, atol=1)


@pytest.mark.parametrize("box", [(0, 0, 32, 40), (3, 5, 20, 11), (10, 30, 4, 5), (0, 0, 32, 7)])
@pytest.mark.parametrize("size", [(8, 8), (32, 40), (50, 30)])
def test_resampling_is_torchvisions(box: tuple[int, ...], size: tuple[int, int]) -> None:
    x = torch.randint(0, 256, (2, 3, 32, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    boxes, none = torch.tensor([box, box]), torch.zeros(2, dtype=torch.bool)
    ours = resample(x, boxes, size, flips=none, shifts=torch.zeros(2, 2, dtype=torch.long))
    theirs = F.resized_crop(x.float(), *box, list(size), antialias=True)
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-5)


def test_flips_and_shifts_of_each_image() -> None:
    x = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).to(torch.uint8)
    whole = torch.tensor([0, 0, 4, 5]).expand(2, 4)
    flips, shifts = torch.tensor([False, True]), torch.tensor([[1, -2], [0, 0]])
    ours = resample(x, whole, (4, 5), flips=flips, shifts=shifts)
    padded = F.pad(x[0], [2, 1], padding_mode="reflect").float()  # left and right 2, top and bottom 1
    torch.testing.assert_close(ours[0], padded[:, 2:6, 0:5])
    torch.testing.assert_close(ours[1], x[1].flip(2).float())


def test_a_square_of_each_image_is_hidden() -> None:
    x = torch.ones(500, 3, 9, 12)
    hidden = hide_squares(x, draw_uniform(0, 0, torch.arange(500), 2), side=4) == 0
    assert (hidden.sum((1, 2, 3)) == 3 * 16).all()
    assert (hidden.any(1).any(2).sum(1) == 4).all()
    assert hidden.any(0).all(), "anywhere"
    assert (hide_squares(x, torch.zeros(500, 2), side=20) == 0).all()


def test_evaluation_is_the_cookbooks() -> None:
    """Compare with Resize(256), CenterCrop(224) and ImageNet's mean and standard deviation."""
    chosen = ImageTransforms()
    cookbook = v2.Compose(
        [
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    for height, width in [(300, 400), (231, 517), (256, 256), (90, 60)]:
        x = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        ours = chosen.normalise(chosen.in_evaluation(x, (224, 224))[None])[0]
        torch.testing.assert_close(ours, cookbook(x))
    steps = chosen.in_training((224, 224)).transforms
    assert [type(step).__name__ for step in steps] == ["RandomResizedCrop", "RandomHorizontalFlip"]


def test_normalisation_is_undone() -> None:
    chosen, x = ImageTransforms(), torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    torch.testing.assert_close(chosen.denormalise(chosen.normalise(x)), x / 255)


def batches(kind: type, **options: object) -> StackedBatches | SingleBatches:
    images = torch.randint(0, 256, (20, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    transforms = ImageTransforms(**{"size": None, **options})  # type: ignore[arg-type]
    sizes = np.full((20, 2), 12)
    source = images if kind is StackedBatches else DecodedImages(images.flatten(), sizes)
    return kind(source, rows=torch.arange(5, 20), labels=torch.arange(15), transforms=transforms, size=(12, 12), seed=1)


@pytest.mark.parametrize("kind", [StackedBatches, SingleBatches])
@pytest.mark.parametrize("options", [{}, {"crop_scale": None, "shift": 2}, {"shift": 1, "cutout": 3}])
def test_a_sample_does_not_depend_on_its_batch(kind: type, options: dict[str, object]) -> None:
    data = batches(kind, **options)
    state = torch.get_rng_state()
    whole, labels = data[2, torch.arange(15)]
    some, _ = data[2, torch.tensor([7, 3])]
    torch.testing.assert_close(some, whole[[7, 3]])
    assert labels.tolist() == list(range(15))
    assert not torch.equal(data[3, torch.arange(15)][0], whole), "another epoch, other images"
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"
    assert (whole.dtype, tuple(whole.shape)) == (torch.float32, (15, 3, 12, 12))


def test_both_ways_evaluate_alike() -> None:
    index = torch.tensor([3, 0, 14])
    torch.testing.assert_close(batches(StackedBatches)[index], batches(SingleBatches)[index])


def test_custom_transforms() -> None:
    data = batches(SingleBatches, train=[v2.RandomInvert(1.0)])
    x, _ = data[0, torch.arange(3)]
    torch.testing.assert_close(
        data.transforms.denormalise(x), 1 - data.transforms.denormalise(data[torch.arange(3)][0])
    )
    with pytest.raises(ValueError, match=r"expected images \(3, 12, 12\).*received \(3, 5, 5\)"):
        batches(SingleBatches, train=[v2.Resize((5, 5))])[0, torch.arange(3)]
    assert isinstance(data.transforms.train[0], nn.Module)  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"size": 0}, "`transforms.size` of at least 1"),
        ({"size": 64, "resize": 32}, "`transforms.resize` of at least the size, 64, received 32"),
        ({"crop_scale": (0.5, 0.2)}, "`transforms.crop_scale` as 0 < low <= high <= 1"),
        ({"crop_ratio": (0, 1)}, "`transforms.crop_ratio` as 0 < low <= high"),
        ({"flip": 2}, r"`transforms.flip` in \[0, 1\], received 2"),
        ({"shift": -1}, "`transforms.shift` of at least 0, received -1"),
        ({"cutout": -2}, "`transforms.cutout` of at least 0, received -2"),
        ({"std": (0, 1, 1)}, "`transforms.std` above 0"),
    ],
)
def test_arguments_that_are_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ImageTransforms(**options)  # type: ignore[arg-type]


def test_sizes() -> None:
    same, other = np.full((3, 2), 28), np.array([[300, 200], [120, 400], [90, 90]])
    assert choose_size(64, other, []) == (64, 64)
    assert choose_size(None, same, []) == (28, 28)
    assert choose_size("auto", same, []) == (28, 28)
    assert choose_size("auto", other, []) == (96, 96)
    assert choose_size("auto", other // 4, []) == (30, 30)
    with pytest.raises(DataError, match=r"'a' has 200 x 300 pixels, 'b' 400 x 120; .*`transforms.size`"):
        choose_size(None, other, ["a", "b", "c"])
