"""Metrics of the server for Prometheus, added over all of its worker processes."""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from lightfit.version import VERSION

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where worker processes keep their numbers; prometheus-client reads it on import
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Count requests, batches and reloads. With several workers, each writes files of a folder, which are added up."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        if not os.environ.get(FOLDER):
            ProcessCollector(registry=own)
        self.requests = Counter(
            "lightfit_requests", "Answered requests", ["method", "path", "status"], registry=own
        )  # its name gets `_total`
        self.seconds = Histogram(
            "lightfit_request_seconds", "Time to answer a request", ["path"], buckets=SECONDS, registry=own
        )
        self.in_flight = Gauge(
            "lightfit_requests_in_flight",
            "Requests that are being answered",
            multiprocess_mode="livesum",
            registry=own,
        )
        self.sizes = Histogram("lightfit_batch_size", "Inputs in a batch", ["model"], buckets=SIZES, registry=own)
        self.predicting = Histogram(
            "lightfit_predict_seconds", "Time to predict a batch", ["model"], buckets=SECONDS, registry=own
        )
        self.waiting = Gauge(
            "lightfit_waiting_inputs",
            "Inputs that wait for a batch",
            ["model"],
            multiprocess_mode="livesum",
            registry=own,
        )
        self.models = Gauge(
            "lightfit_model_info",
            "1 for a model that answers requests, by the SHA-256 of its checkpoint",
            ["model", "version", "checkpoint", "lightfit"],
            multiprocess_mode="livemax",
            registry=own,
        )
        self.reloads = Counter("lightfit_reloads", "New checkpoints found", ["model", "result"], registry=own)
        self._named: dict[str, tuple[str, str, str, str]] = {}

    def observe(self, model: str) -> "BatchMetrics":
        """Return what a model's batcher tells of its batches."""
        return BatchMetrics(self, model)

    def serve_model(self, name: str, version: str, checkpoint: str) -> None:
        """Take note of the model that answers under a name from now on."""
        if name in self._named:
            self.models.labels(*self._named[name]).set(0)
        self._named[name] = (name, version, checkpoint, VERSION)
        self.models.labels(*self._named[name]).set(1)

    def write(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        if not (folder := os.environ.get(FOLDER)):
            return generate_latest(self.registry)
        added = CollectorRegistry()
        MultiProcessCollector(added, path=folder)
        return generate_latest(added)


class BatchMetrics:
    """Take note of the batches of a model; an `Observer`."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._sizes = metrics.sizes.labels(model)
        self._seconds = metrics.predicting.labels(model)
        self._waiting = metrics.waiting.labels(model)

    def predicted(self, num_items: int, seconds: float) -> None:
        """Take note of a batch."""
        self._sizes.observe(num_items)
        self._seconds.observe(seconds)

    def waiting(self, num_items: int) -> None:
        """Take note of the number of items that wait."""
        self._waiting.set(num_items)


def forget_worker(folder: Path, pid: int) -> None:
    """Leave a worker that has died out of the numbers of the present; what it has counted stays."""
    mark_process_dead(pid, str(folder))
