"""Batches of images: augmented as a whole if the images are decoded and of one size, else one by one."""

from typing import Any

import torch
from torch import Tensor

from .augmentation import TRIES, draw_boxes, draw_flips, draw_uniform, hide_squares, resample
from .mixing import NUM_DRAWS, mix_images
from .store import DecodedImages, Images
from .transforms import ImageTransforms, Size

OTHER_STREAM = 2**40  # added to the index of a sample, for further random numbers independent of the first
CACHE_BYTES = 2**20  # of the processor, for images that are augmented together
GPU_FRACTION = 0.25  # largest fraction of a GPU's memory that the images of a split may take
Asked = Tensor | tuple[int, Tensor]


class ImageBatches:
    """Images of one split with their classes, indexed by batch.

    An index is a tensor of indices (B,) int64 in evaluation, and a tuple of the epoch and such a tensor in training,
    where images are augmented at random, by (seed, epoch, sample) alone.

    Args:
        labels: class index of each image of the split, (N,) int64; or sets of labels or scaled numbers, (N, K) float32.
        transforms: size, augmentation and normalisation.
        size: height and width of the net's input, in pixels.
        seed: seed of the augmentation.
        num_classes: number of classes, for the soft labels of mixed images.
    """

    def __init__(
        self, labels: Tensor, *, transforms: ImageTransforms, size: Size, seed: int, num_classes: int = 2
    ) -> None:
        self.labels = labels
        self.num_classes = num_classes
        self.transforms = transforms
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, asked: Asked) -> tuple[Tensor, Tensor]:
        """Return images (B, C, h, w) float32 and their labels (B,) or (B, K); classes as soft labels if mixed."""
        epoch, index = asked if isinstance(asked, tuple) else (None, asked)
        if not len(index):  # of a rank that has no samples in the last batch
            x, y = self[torch.zeros(1, dtype=torch.int64)]
            return x[:0], y[:0]
        if epoch is None:
            x = self.transforms.normalise(self._load_for_evaluation(index))
        else:
            x = self._load_for_training(epoch, index)
            if self.transforms.cutout:
                x = hide_squares(
                    x, draw_uniform(self.seed, epoch, index + OTHER_STREAM, 2), side=self.transforms.cutout
                )
            if self.transforms.mix != "none":
                draws = draw_uniform(self.seed, epoch, index + 2 * OTHER_STREAM, NUM_DRAWS)
                return mix_images(
                    x,
                    self.labels[index],
                    draws,
                    self.transforms.mix,
                    alpha=self.transforms.mix_alpha,
                    num_classes=self.num_classes,
                )
        return x, self.labels[index].to(x.device)

    def load_pixels(self, index: int) -> Tensor:
        """Return an image of the split before any transform, (C, H, W) uint8, perhaps reduced."""
        raise NotImplementedError

    def _load_for_evaluation(self, index: Tensor) -> Tensor:
        """Return pixels in [0, 255], (B, C, h, w) uint8."""
        raise NotImplementedError

    def _load_for_training(self, epoch: int, index: Tensor) -> Tensor:
        """Return augmented and normalised images, (B, C, h, w) float32."""
        raise NotImplementedError


class StackedBatches(ImageBatches):
    """Decoded images of one size, augmented as a batch on the device.

    Args:
        images: the images of all splits, (M, C, H, W) uint8.
        rows: indices of the images of this split, (N,) int64.
        labels, transforms, size, seed, num_classes: as in `ImageBatches`.
    """

    def __init__(
        self,
        images: Tensor,
        *,
        rows: Tensor,
        labels: Tensor,
        transforms: ImageTransforms,
        size: Size,
        seed: int,
        num_classes: int = 2,
    ) -> None:
        super().__init__(labels, transforms=transforms, size=size, seed=seed, num_classes=num_classes)
        self.images = images
        self.rows = rows
        self.device = torch.device("cpu")

    def place(self, device: torch.device) -> None:
        """Move the batches to a device; a GPU also keeps the images of the split, if they fit in `GPU_FRACTION`."""
        if device == self.device:
            return
        self.device = device
        num_bytes = self.images[0].nbytes * len(self.rows)
        if device.type == "cuda" and num_bytes <= GPU_FRACTION * torch.cuda.get_device_properties(device).total_memory:
            self.images = self.images.index_select(0, self.rows).to(device)
            self.rows = torch.arange(len(self.rows), device=device)

    def load_pixels(self, index: int) -> Tensor:
        """Return an image of the split before any transform, (C, H, W) uint8."""
        return self.images[self.rows[index]].cpu()

    def _gather(self, index: Tensor) -> Tensor:
        return self.images.index_select(0, self.rows[index]).to(self.device, non_blocking=True)

    def _load_for_evaluation(self, index: Tensor) -> Tensor:
        return self.transforms.in_evaluation(self._gather(index), self.size)

    def _load_for_training(self, epoch: int, index: Tensor) -> Tensor:
        chosen, crop = self.transforms, self.transforms.random_crop
        draws = draw_uniform(self.seed, epoch, index, 2 * TRIES + 4)
        shifts = (draws[:, -2:] * (2 * chosen.shift + 1)).long() - chosen.shift
        flips = draw_flips(self.seed, epoch, index, chosen.flip)
        boxes = torch.tensor([0, 0, *self.size]).expand(len(index), 4)
        if crop:
            # The size of the images after they are padded or squished.
            height, width = chosen.frame(self.images[:1], self.size).shape[2:]
            boxes = draw_boxes(draws[:, :-2], height, width, scale=crop, ratio=chosen.crop_ratio)
        made = torch.empty(len(index), self.images.shape[1], *self.size, device=self.device)
        for start in range(0, len(index), step := self._count_together()):
            own = slice(start, start + step)
            x = chosen.frame(self._gather(index[own]), self.size) if crop else self._load_for_evaluation(index[own])
            x = resample(
                x, boxes[own], self.size, flips=flips[own], shifts=shifts[own], interpolation=chosen.interpolation
            )
            chosen.normalise(x, out=made[own])
        return made

    def _count_together(self) -> int:
        """Return the number of images to augment together: on a CPU, as many as fit in its cache."""
        num_bytes = 4 * self.images.shape[1] * max(self.images.shape[2:].numel(), self.size[0] * self.size[1])
        return max(CACHE_BYTES // num_bytes, 1) if self.device.type == "cpu" else len(self.rows)


class SingleBatches(ImageBatches):
    """Images of any sizes, loaded and augmented one by one; for worker processes.

    Args:
        images: the images of all splits, by index.
        rows: indices of the images of this split, (N,) int64.
        labels, transforms, size, seed, num_classes: as in `ImageBatches`.
    """

    def __init__(
        self,
        images: Images,
        *,
        rows: Tensor,
        labels: Tensor,
        transforms: ImageTransforms,
        size: Size,
        seed: int,
        num_classes: int = 2,
    ) -> None:
        super().__init__(labels, transforms=transforms, size=size, seed=seed, num_classes=num_classes)
        self.images = images
        self.rows = rows

    def load_pixels(self, index: int) -> Tensor:
        """Return an image of the split before any transform, (C, H, W) uint8, perhaps reduced."""
        return self.images[int(self.rows[index])]

    def _load_for_evaluation(self, index: Tensor) -> Tensor:
        rows = self.rows[index].tolist()
        photos = (self.images.load(row) for row in rows)
        return torch.stack([self.transforms.in_evaluation(x, self.size, full_size) for x, full_size in photos])

    def _load_for_training(self, epoch: int, index: Tensor) -> Tensor:
        change = self.transforms.in_training(self.size)
        seeds = (draw_uniform(self.seed, epoch, index, 1)[:, 0] * 2**53).long().tolist()
        images = []
        with torch.random.fork_rng(devices=[]):
            for row, seed in zip(self.rows[index].tolist(), seeds, strict=True):
                torch.manual_seed(seed)
                x = self.images[row]
                if self.transforms.train is not None:
                    x = x.clone()  # custom transforms may write into it
                images.append(change(x))
                if images[-1].shape != (len(x), *self.size):
                    raise ValueError(
                        f"`transforms.train`: expected images ({len(x)}, {self.size[0]}, {self.size[1]}), the size in "
                        f"val and test, received {tuple(images[-1].shape)}: add v2.RandomCrop or v2.Resize to them"
                    )
        return self.transforms.normalise(torch.stack(images))


def batch_images(images: Images, *, transforms: ImageTransforms, **options: Any) -> ImageBatches:
    """Return batches of images: `StackedBatches` for decoded images of one size that are augmented as a batch.

    Args:
        images: the images of all splits.
        transforms: size, augmentation and normalisation.
        **options: rows, labels, size, seed and num_classes, as in `ImageBatches`.
    """
    stacked = images.stack() if isinstance(images, DecodedImages) and not transforms.one_by_one else None
    if stacked is None:
        return SingleBatches(images, transforms=transforms, **options)
    return StackedBatches(stacked, transforms=transforms, **options)
