"""The predictions of `predict_rows` by Ray Data, on the machines of a cluster or in processes of this one.

This process reads the inputs, batch by batch, into the cluster's object store, which writes to disk what memory does
not hold. Actors that have loaded the checkpoint once take the batches, and rows come back in the order of the inputs.
"""

import logging
import os
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lightfit.errors import DataError, UsageError, clip
from lightfit.extras import importing_extra

from ..cli.devices import parse_gpus
from .predictor import Predictor, split_chunks
from .rows import Rows, arrange_rows, tabulate
from .trained import Trained, add_mirrored_views, load_trained

MAX_BLOCKS = 1000  # of the data set; the rows of one wait in memory


def predict_rows_on_ray(
    trained: Trained,
    inputs: Iterable[Any],
    *,
    batch_size: int,
    top: int = 1,
    always_note: bool = False,
    gpus: str = "auto",
    tta: bool = False,
) -> Iterator[tuple[pd.DataFrame, int, list[str]]]:
    """Yield the same tables as `predict_rows`, predicted by actors of Ray Data.

    Every machine must see the checkpoint, and images, under the same paths, and have LightFit installed.

    Args:
        trained: the checkpoint, which each actor loads from its path.
        inputs: as of `predict_rows`; they are read here.
        batch_size: number of inputs in a batch.
        top: number of most probable classes to list.
        always_note: as of `arrange_rows`.
        gpus: 0: actors on the CPUs; a number: that many actors, each with a GPU; -1: one for each GPU of the cluster;
            auto: one for each GPU, or for each CPU where there is none.
        tta: whether to predict by the mean over mirror images.

    Raises:
        UsageError: `gpus` asks for what the cluster does not have.
        MissingPackageError: Ray is not installed.
    """
    with importing_extra("--engine ray", extra="ray", otherwise="leave --engine out"):
        import ray
        import ray.data

    from ..cli.ray_cluster import connect

    connect()
    num_actors, gpus_each = choose_actors(gpus, ray.cluster_resources())
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False  # the command shows its own
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    batches = [ray.put(chunk) for chunk in split_chunks(inputs, batch_size)]
    if not batches:
        return iter(())
    device = "cuda" if gpus_each else "cpu"
    arguments = (batches, str(trained.path.absolute()), trained.trust, tta, top, str(Path.cwd()), device)
    # The data set holds numbers alone: one of the batches themselves would start a task for each, to learn its size.
    numbers = [{"number": number} for number in range(len(batches))]
    results = ray.data.from_items(numbers, override_num_blocks=min(len(batches), MAX_BLOCKS)).map_batches(
        _Actor,
        fn_constructor_args=arguments,
        batch_size=1,  # which is a batch of inputs
        batch_format="pandas",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=num_actors),
        num_cpus=1,
        num_gpus=gpus_each,
    )
    return arrange_rows(
        _unpack(results, ray.exceptions.RayError),
        numbered=trained.codec.domain != "series",
        always_note=always_note,
    )


class _Actor:
    """A checkpoint on one machine of the cluster, which predicts one batch of inputs after another."""

    def __init__(
        self, batches: list[Any], path: str, trust: tuple[str, ...], tta: bool, top: int, here: str, device: str
    ) -> None:
        os.chdir(here)  # paths of images, and classes of the user, are relative to it
        trained = load_trained(path, trust)
        if tta:
            add_mirrored_views(trained)
        # Ray shows an actor its own GPU alone.
        self._predictor = Predictor(trained.model, trained.codec, [torch.device(device)])
        self._top = top
        self._batches = batches

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of batches of inputs, pickled, by the numbers of the batches."""
        import ray

        rows = [tabulate(self._predictor, ray.get(self._batches[number]), self._top) for number in batch["number"]]
        return pd.DataFrame({"rows": list(map(pickle.dumps, rows))})


def _unpack(results: Any, failure: type[Exception]) -> Iterator[Rows]:
    try:
        for row in results.iter_rows():
            yield pickle.loads(row["rows"])
    except failure as error:
        last = str(error).strip().splitlines()[-1]
        raise DataError(
            f"an actor of Ray failed ({clip(last, 200)}): does every machine see the checkpoint and '{Path.cwd()}', "
            "and have LightFit installed? --engine local predicts on this one"
        ) from error


def choose_actors(gpus: str, resources: dict[str, float]) -> tuple[int, int]:
    """Return the number of actors, and of the GPUs that each has.

    Args:
        gpus: as in `predict_rows_on_ray`.
        resources: numbers of `CPU` and `GPU` in the cluster.

    Raises:
        UsageError: the cluster has fewer GPUs.
    """
    most_cpus, most_gpus = max(int(resources.get("CPU", 1)), 1), int(resources.get("GPU", 0))
    if gpus == "auto":
        return (min(most_gpus, most_cpus), 1) if most_gpus else (most_cpus, 0)
    _, devices = parse_gpus(gpus, most_gpus)  # raises where there are fewer
    if isinstance(devices, list):
        raise UsageError(
            f"--engine ray chooses the GPUs of the cluster itself: give their number, received --gpus {gpus}"
        )
    if gpus.strip() == "0":
        return most_cpus, 0
    return (most_gpus if int(devices) == -1 else int(devices)), 1
