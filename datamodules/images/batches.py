"""Images handed out by the batch: all at once where they are of one size and decoded, else one by one."""

import torch
from torch import Tensor

from .augmentation import TRIES, hide_squares, random_boxes, random_flips, resample, uniform
from .mixing import NUM_DRAWS, mix_images
from .store import Images
from .transforms import ImageTransforms, Size

OTHER_STREAM = 2**40  # added to a sample's number for random numbers that are no others' too
CACHE_BYTES = 2**20  # of a processor, for images that are changed together
GPU_PART = 0.25  # of a GPU's memory, at most, for the images of a part
Asked = Tensor | tuple[int, Tensor]


class ImageBatches:
    """Images of one part, with their classes.

    Evaluation asks for indices (B,) int64; training asks for the epoch and indices, and each image is then changed at
    random, as (seed, epoch, sample) say.

    Args:
        labels: class of each image of the part, (N,) int64.
        transforms: what happens to an image.
        size: height and width of what the net gets.
        seed: seed of the augmentation.
        num_classes: number of classes, for labels of mixed images.
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
        """Images (B, 3, h, w) float32 and classes (B,) int64; parts of each class (B, num_classes) of mixed images."""
        epoch, index = asked if isinstance(asked, tuple) else (None, asked)
        if epoch is None:
            x = self.transforms.normalise(self._evaluation(index))
        else:
            x = self._training(epoch, index)
            if self.transforms.cutout:
                x = hide_squares(x, uniform(self.seed, epoch, index + OTHER_STREAM, 2), side=self.transforms.cutout)
            if self.transforms.mix != "none":
                draws = uniform(self.seed, epoch, index + 2 * OTHER_STREAM, NUM_DRAWS)
                return mix_images(
                    x,
                    self.labels[index],
                    draws,
                    self.transforms.mix,
                    alpha=self.transforms.mix_alpha,
                    num_classes=self.num_classes,
                )
        return x, self.labels[index].to(x.device)

    def _evaluation(self, index: Tensor) -> Tensor:
        """Pixels in [0, 255], (B, 3, h, w) uint8."""
        raise NotImplementedError

    def _training(self, epoch: int, index: Tensor) -> Tensor:
        """Changed and normalised, (B, 3, h, w) float32."""
        raise NotImplementedError


class StackedBatches(ImageBatches):
    """Decoded images of one size, changed as a batch on the device.

    Args:
        images: those of all parts, (M, 3, H, W) uint8.
        rows: numbers of this part's images, (N,) int64.
        device: where the batches are made.
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
        """Makes the batches on a device; on a GPU the part's images stay there, if they take little of its memory."""
        if device == self.device:
            return
        self.device = device
        num_bytes = self.images[0].nbytes * len(self.rows)
        if device.type == "cuda" and num_bytes <= GPU_PART * torch.cuda.get_device_properties(device).total_memory:
            self.images = self.images.index_select(0, self.rows).to(device)
            self.rows = torch.arange(len(self.rows), device=device)

    def _gather(self, index: Tensor) -> Tensor:
        return self.images.index_select(0, self.rows[index]).to(self.device, non_blocking=True)

    def _evaluation(self, index: Tensor) -> Tensor:
        return self.transforms.in_evaluation(self._gather(index), self.size)

    def _training(self, epoch: int, index: Tensor) -> Tensor:
        chosen, full = self.transforms, self.images.shape[2:]
        draws = uniform(self.seed, epoch, index, 2 * TRIES + 4)
        shifts = (draws[:, -2:] * (2 * chosen.shift + 1)).long() - chosen.shift
        flips = random_flips(self.seed, epoch, index, chosen.flip)
        boxes = torch.tensor([0, 0, *self.size]).expand(len(index), 4)
        if chosen.crop_scale:
            boxes = random_boxes(draws[:, :-2], *full, scale=chosen.crop_scale, ratio=chosen.crop_ratio)
        made = torch.empty(len(index), 3, *self.size, device=self.device)
        for start in range(0, len(index), step := self._at_once()):
            own = slice(start, start + step)
            x = self._gather(index[own]) if chosen.crop_scale else self._evaluation(index[own])
            x = resample(x, boxes[own], self.size, flips=flips[own], shifts=shifts[own])
            chosen.normalise(x, out=made[own])
        return made

    def _at_once(self) -> int:
        """How many images are changed together: on a processor as many as stay in its cache."""
        num_bytes = 4 * 3 * max(self.images.shape[2:].numel(), self.size[0] * self.size[1])
        return max(CACHE_BYTES // num_bytes, 1) if self.device.type == "cpu" else len(self.rows)


class SingleBatches(ImageBatches):
    """Images of any sizes, changed one by one; for workers.

    Args:
        images: those of all parts, by number.
        rows: numbers of this part's images, (N,) int64.
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

    def _evaluation(self, index: Tensor) -> Tensor:
        rows = self.rows[index].tolist()
        return torch.stack([self.transforms.in_evaluation(self.images[row], self.size) for row in rows])

    def _training(self, epoch: int, index: Tensor) -> Tensor:
        change, side = self.transforms.in_training(self.size), self.transforms.needed_side(self.size)
        seeds = (uniform(self.seed, epoch, index, 1)[:, 0] * 2**53).long().tolist()
        images = []
        with torch.random.fork_rng(devices=[]):
            for row, seed in zip(self.rows[index].tolist(), seeds, strict=True):
                torch.manual_seed(seed)
                images.append(change(self.images.reduced(row, side)))
                if images[-1].shape != (3, *self.size):
                    raise ValueError(
                        f"transforms.train must give (3, {self.size[0]}, {self.size[1]}), the size of val and test; "
                        f"received {tuple(images[-1].shape)}: put v2.RandomCrop or v2.Resize among them"
                    )
        return self.transforms.normalise(torch.stack(images))
