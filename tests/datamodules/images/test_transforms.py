"""How images are brought to the size of the net, and augmented."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_images
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from lightfit.datamodules import DataError, ImageDataModule, ImageTransforms
from lightfit.datamodules.images.augmentation import resample
from lightfit.datamodules.images.batches import SingleBatches, StackedBatches
from lightfit.datamodules.images.store import DecodedImages
from lightfit.datamodules.images.transforms import fit_to_size

RED, WHITE = (255, 0, 0), (255, 255, 255)


def stripes(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Return an image whose ends are black, and whose middle is grey."""
    x = torch.full((channels, height, width), 128, dtype=torch.uint8)
    x[:, :, : width // 10] = x[:, :, -(width // 10) :] = 0
    return x


def test_a_crop_does_not_see_the_ends_which_pad_and_squish_do() -> None:
    x = stripes(20, 100)
    crop, pad, squish = (
        fit_to_size(x, (20, 20), border=1.0, resize=resize, background=RED)
        for resize in ("crop", "pad", "squish")  # type: ignore[arg-type]
    )
    assert (crop == 128).all()
    assert (squish[:, :, [0, -1]] == 0).all()
    assert (squish[:, :, 4:16] == 128).all()
    assert (pad[:, 8:12, [0, -1]] == 0).all()
    assert (pad[:, 8:12, 4:16] == 128).all()
    for rows in (pad[:, :8], pad[:, 12:]):
        assert (rows == torch.tensor(RED)[:, None, None]).all(), "above and below, equally"


@pytest.mark.parametrize(("channels", "expected"), [(1, [76]), (3, [255, 0, 0]), (4, [76] * 4)])
def test_borders_of_any_number_of_channels(channels: int, expected: list[int]) -> None:
    x = torch.zeros(2, channels, 6, 2, dtype=torch.uint8)
    padded = fit_to_size(x, (6, 7), border=1.0, resize="pad", background=RED)
    assert padded.shape == (2, channels, 6, 7)
    assert padded[1, :, 0, 0].tolist() == expected
    assert (padded[..., 2:4] == 0).all(), "one column more to the right"
    assert padded[1, :, 0, 4].tolist() == expected


@pytest.mark.parametrize("resize", ["pad", "squish"])
def test_the_whole_of_the_narrowest_image_fits(resize: Any) -> None:
    x = torch.zeros(3, 1, 300_000, dtype=torch.uint8)
    assert fit_to_size(x, (8, 8), border=1.0, resize=resize).shape == (3, 8, 8)
    with pytest.raises(DataError, match="would be scaled to .*or set `transforms.resize` to pad"):
        fit_to_size(x, (224, 224), border=1.0)


@pytest.mark.parametrize("box", [(0, 0, 32, 40), (3, 5, 20, 11), (10, 30, 4, 5)])
@pytest.mark.parametrize("size", [(8, 8), (32, 40), (50, 30)])
def test_bicubic_resampling_is_torchvisions(box: tuple[int, ...], size: tuple[int, int]) -> None:
    x = torch.randint(0, 256, (2, 3, 32, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    boxes, none = torch.tensor([box, box]), torch.zeros(2, dtype=torch.bool)
    shifts = torch.zeros(2, 2, dtype=torch.long)
    ours = resample(x, boxes, size, flips=none, shifts=shifts, interpolation="bicubic")
    theirs = F.resized_crop(x.float(), *box, list(size), interpolation=InterpolationMode.BICUBIC, antialias=True)
    torch.testing.assert_close(ours, theirs.clamp(0, 255), atol=2e-3, rtol=1e-5)


def batches(kind: type, size: tuple[int, int] = (16, 16), **options: Any) -> Any:
    """Return batches of 6 images of 20 x 30 pixels."""
    x = torch.randint(0, 256, (6, 3, 20, 30), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = x if kind is StackedBatches else DecodedImages(x.flatten(), np.tile([20, 30], (6, 1)))
    transforms = ImageTransforms(**{"size": 16, **options})
    rows = {"rows": torch.arange(6), "labels": torch.arange(6)}
    return kind(images, **rows, transforms=transforms, size=size, seed=3)


@pytest.mark.parametrize("kind", [StackedBatches, SingleBatches])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize", ["pad", "squish"])
def test_training_sees_the_whole_image_unless_a_crop_is_asked_for(kind: type, resize: str, interpolation: str) -> None:
    data = batches(kind, resize=resize, interpolation=interpolation, flip=0)
    index = torch.arange(6)
    torch.testing.assert_close(data[0, index], data[index])
    cropped = batches(kind, resize=resize, interpolation=interpolation, flip=0, crop_scale=[0.2, 0.5])
    assert not torch.equal(cropped[0, index][0], data[index][0])
    borders = (data.transforms.denormalise(cropped[0, index][0]) == 1).all(1).any(2).any(1)
    assert borders.any() == (resize == "pad"), "a crop of the padded image has borders too"


@pytest.mark.parametrize("kind", [StackedBatches, SingleBatches])
def test_a_full_crop_is_the_squished_image(kind: type) -> None:
    whole = {"crop_scale": [1.0, 1.0], "crop_ratio": [1.0, 1.0], "flip": 0}
    data, index = batches(kind, resize="squish", **whole), torch.arange(6)
    x, expected = (data.transforms.denormalise(data[asked][0]) for asked in ((0, index), index))
    assert (x - expected).abs().mean() < 5 / 255, "of noise, resized in two steps"


def test_stacked_images_are_as_single_ones_in_evaluation() -> None:
    for options in ({"resize": "pad"}, {"resize": "squish"}, {"interpolation": "bicubic"}, {"resize": 17}):
        index = torch.arange(6)
        torch.testing.assert_close(
            batches(StackedBatches, **options)[index], batches(SingleBatches, **options)[index], atol=0.02, rtol=0
        )


@pytest.mark.parametrize("name", ["randaugment", "trivialaugment", "color_jitter"])
def test_augmentation_depends_on_seed_epoch_and_sample_alone(name: str) -> None:
    data, plain, index = batches(SingleBatches, augment=name), batches(SingleBatches), torch.arange(6)
    x = data[2, index][0]
    torch.manual_seed(99)
    again = batches(SingleBatches, augment=name)
    torch.testing.assert_close(torch.cat([again[2, index[3:]][0], again[2, index[:3]][0]]), x[[3, 4, 5, 0, 1, 2]])
    assert not torch.equal(again[3, index][0], x)
    assert sum(not torch.equal(one, other) for one, other in zip(x, plain[2, index][0], strict=True)) >= 4
    torch.testing.assert_close(data[index], plain[index])  # evaluation is not augmented


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_augmentation_does_not_depend_on_workers(images: Path) -> None:
    transforms = ImageTransforms(size=16, augment="randaugment", resize="pad", interpolation="bicubic")
    epochs = []
    for count in (0, 2):
        module = ImageDataModule("images", transforms=transforms, batch_size=7, num_workers=count)
        module.setup()
        epochs.append(list(module.train_dataloader()))
    for one, other in zip(*epochs, strict=True):
        torch.testing.assert_close(one, other)


def test_images_of_one_size_are_augmented_one_by_one(tmp_path: Path) -> None:
    make_images(tmp_path / "same", size=lambda index: (20, 20))
    module = ImageDataModule(str(tmp_path / "same"), transforms=ImageTransforms(size=16, augment="color_jitter"))
    module.setup()
    assert isinstance(module.train_data, SingleBatches)


def test_mean_and_standard_deviation_of_each_channel() -> None:
    assert ImageTransforms().choose_colours(3) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert ImageTransforms().choose_colours(2) == ((0.5, 0.5), (0.5, 0.5))
    assert ImageTransforms(mean=(0.1,), std=(0.2,)).choose_colours(1) == ((0.1,), (0.2,))
    x = ImageTransforms().normalise(torch.full((1, 4, 2, 2), 255, dtype=torch.uint8))
    assert (x == 1).all()
    assert x.shape == (1, 4, 2, 2)
    with pytest.raises(DataError, match=r"`transforms.mean` with a value for each of 4 channels, received 3: \[0.1,"):
        ImageTransforms(mean=(0.1, 0.2, 0.3)).choose_colours(4)
    with pytest.raises(DataError, match="`transforms.augment` randaugment changes colours, .* received 4: set it"):
        ImageTransforms(augment="randaugment").choose_colours(4)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"background": (0, 0, 256)}, r"`transforms.background` in \[0, 255\], received \(0, 0, 256\)"),
        ({"std": ()}, r"`transforms.std` above 0, received \(\)"),
        ({"size": 64, "resize": 32}, "`transforms.resize` of at least the size, 64, received 32"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ImageTransforms(**options)


def test_custom_transforms_may_write_into_an_image(tmp_path: Path) -> None:
    make_images(tmp_path / "images")

    class Blacken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x[:] = 0
            return x[:, :16, :16]

    module = ImageDataModule("images", transforms=ImageTransforms(size=16, train=[Blacken()]), num_workers=0)
    module.setup()
    assert len({float(x.mean()) for x, _ in module.train_dataloader()}) == 1
    assert module.train_data.images[0].float().mean() > 10  # type: ignore[attr-defined]


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_become_batches(channels: int) -> None:
    x = torch.randint(0, 256, (6, channels, 20, 30), dtype=torch.uint8)
    images = DecodedImages(x.flatten(), np.tile([20, 30], (6, 1)), channels=channels)
    options: Any = {"rows": torch.arange(6), "labels": torch.arange(6), "size": (16, 16), "seed": 0}
    for kind, source in ((StackedBatches, images.stack()), (SingleBatches, images)):
        data = kind(source, transforms=ImageTransforms(size=16), **options)  # type: ignore[arg-type]
        for asked in ((0, torch.arange(6)), torch.arange(6)):
            assert data[asked][0].shape == (6, channels, 16, 16)


def test_a_photograph_with_borders_as_predict_sees_it(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100), (0, 128, 0)).save(tmp_path / "green.png")
    transforms = ImageTransforms(size=32, resize="pad", background=RED)
    with Image.open(tmp_path / "green.png") as image:
        x = transforms.in_evaluation(torch.from_numpy(np.array(image)).permute(2, 0, 1), (32, 32))
    assert x[:, 0, 0].tolist() == list(RED)
    assert x[:, 16, 0].tolist() == [0, 128, 0]
    assert ((x == torch.tensor(RED)[:, None, None]).all(0).float().mean()) == 0.5
