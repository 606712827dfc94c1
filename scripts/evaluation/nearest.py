"""The training images that are nearest to images that were classified wrongly: what the net took them for."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightfit.callbacks.pictures.most_wrong import describe_wrong
from lightfit.callbacks.pictures.plots import Plot, image_grid
from lightfit.callbacks.pictures.protocols import as_colours
from lightfit.datamodules import DataModule, ImageCodec
from lightfit.datamodules.samples import Batches
from lightfit.errors import UsageError
from lightfit.lightning_modules.embedding import embed

from .result import Evaluation

NUM_WRONG, NUM_NEAREST = 8, 4
BATCH = 256


def plot_nearest(evaluation: Evaluation, data: DataModule, net: nn.Module, split: str) -> Plot:
    """Plot the most wrong images, a row each, with the training images whose embeddings are most like theirs.

    Args:
        evaluation: the evaluation of the split.
        data: the images, with their training split.
        net: the net.
        split: name of the split.
    """
    assert evaluation.wrong is not None
    codec, places = data.codec, data.find_places(split)
    assert isinstance(codec, ImageCodec)
    wrong = evaluation.wrong.head(NUM_WRONG)
    rows = [places.index(name) for name in wrong["file"]]
    train, names = data.loaded.batches["train"], data.find_places("train")
    x, _ = data.loaded.batches[split][torch.tensor(rows)]
    similarity, nearest = find_nearest(embed(net, x), embed_all(net, train), NUM_NEAREST)
    images, titles, captions = [], [], []
    for index, (_, row) in enumerate(wrong.iterrows()):
        own, labels = train[nearest[index]]
        images += [x[index : index + 1], own]
        titles.append(describe_wrong(row["true"], row["predicted"], row["probability"]))
        titles += [
            f"{codec.class_names[label]}\nsimilarity {value:.2f}"
            for label, value in zip(labels.tolist(), similarity[index].tolist(), strict=True)
        ]
        captions += [row["file"], *(names[neighbour] for neighbour in nearest[index].tolist())]
    colours = as_colours(codec, torch.cat(images))
    return image_grid(colours, titles, captions=captions, columns=1 + nearest.shape[1])


def check_nearest(evaluation: Evaluation, data: DataModule, split: str) -> None:
    """Check that the nearest training images can be found.

    Raises:
        UsageError: the samples are no images with classes, or there is no training split beside the split.
    """
    if not isinstance(data.codec, ImageCodec) or data.codec.target.kind != "classes":
        raise UsageError("--nearest is for images with classes: leave it out")
    if split == "train" or "train" not in data.loaded.batches:
        raise UsageError(
            "--nearest shows training images, and this data has no training split beside the one to evaluate on: leave "
            "it out, or evaluate on the data of the training"
        )


def embed_all(net: nn.Module, batches: Batches) -> Tensor:
    """Return the embedding of each sample, (N, D), without augmentation."""
    rows = torch.arange(len(batches)).split(BATCH)
    return torch.cat([embed(net, batches[own][0]) for own in rows])


def find_nearest(queries: Tensor, known: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the cosine similarity and the index of the embeddings most like each query, (N, count), the most first.

    Args:
        queries: embeddings, (N, D).
        known: embeddings to choose from, (M, D).
        count: number of embeddings to return for each; fewer if there are fewer.
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(known, dim=1).T
    return similarity.topk(min(count, len(known)), dim=1)
