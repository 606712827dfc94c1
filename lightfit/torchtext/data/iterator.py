"""Batches of a data set, in the order of torchtext's iterators."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Iterator as Iterating
from typing import Any

from typing_extensions import Self

from .batch import Batch
from .dataset import Dataset
from .utils import RandomShuffler

logger = logging.getLogger(__name__)

SortKey = Callable[[Any], Any]
BatchSize = Callable[[Any, int, int], int]
BUCKET_BATCHES = 100


class Iterator:
    """Batches of a data set.

    Args:
        dataset: the data set.
        batch_size: number of examples in a batch, or what `batch_size_fn` counts.
        sort_key: function of an example that is sorted by, usually the length of its text; None: that of the data set.
        device: where the tensors are made; None: the CPU.
        batch_size_fn: function of the example that is added, the number of examples with it, and the size so far,
            that returns the new size; None: the number of examples.
        train: whether this is the training split, which by default is shuffled, while others are sorted.
        repeat: whether epoch follows upon epoch without an end.
        shuffle: whether the examples are shuffled anew in each epoch; None: as `train`.
        sort: whether all examples are sorted; None: as not `train`.
        sort_within_batch: whether the examples of a batch are sorted, the largest first; None: as `sort`.

    Attributes:
        iterations: number of batches in this epoch, or since the start with `repeat`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        sort_key: SortKey | None = None,
        device: Any = None,
        batch_size_fn: BatchSize | None = None,
        train: bool = True,
        repeat: bool = False,
        shuffle: bool | None = None,
        sort: bool | None = None,
        sort_within_batch: bool | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.batch_size_fn = batch_size_fn
        self.train = train
        self.repeat = repeat
        self.shuffle = train if shuffle is None else shuffle
        self.sort = not train if sort is None else sort
        self.sort_within_batch = self.sort if sort_within_batch is None else sort_within_batch
        self.sort_key = dataset.sort_key if sort_key is None else sort_key
        if isinstance(device, int):
            logger.warning(
                "`device` %d is taken as the CPU, as torchtext does: pass 'cuda:%d' for a GPU", device, device
            )
            device = None
        self.device = device
        self.random_shuffler = RandomShuffler()
        self.iterations = 0
        self._iterations_this_epoch = 0
        self._random_state_this_epoch = self.random_shuffler.random_state
        self._restored = False

    @classmethod
    def splits(
        cls, datasets: Sequence[Any], batch_sizes: Sequence[int] | None = None, **kwargs: Any
    ) -> tuple[Self, ...]:
        """Return an iterator for each data set, the first of which is the training split.

        Args:
            datasets: the data sets.
            batch_sizes: a batch size for each; None: `batch_size` of `kwargs` for all.
            **kwargs: of the iterators.

        Raises:
            ValueError: there are more or fewer batch sizes than data sets.
        """
        if batch_sizes is None:
            batch_sizes = [kwargs.pop("batch_size")] * len(datasets)
        if len(batch_sizes) != len(datasets):
            raise ValueError(f"expected {len(datasets)} `batch_sizes`, one a data set, received {len(batch_sizes)}")
        return tuple(
            cls(dataset, batch_size=size, train=index == 0, **kwargs)
            for index, (dataset, size) in enumerate(zip(datasets, batch_sizes, strict=True))
        )

    def data(self) -> Iterable[Any]:
        """Return the examples in the order of this epoch."""
        if self.sort:
            return _sort(self.dataset, self.sort_key)
        if self.shuffle:
            return [self.dataset[index] for index in self.random_shuffler(range(len(self.dataset)))]
        return self.dataset

    def init_epoch(self) -> None:
        """Start an epoch, or the rest of one after `load_state_dict`."""
        if self._restored:
            self._restored = False
            self.random_shuffler.random_state = self._random_state_this_epoch
        else:
            self._iterations_this_epoch = 0
            if not self.repeat:
                self.iterations = 0
        self._random_state_this_epoch = self.random_shuffler.random_state
        self.create_batches()

    def create_batches(self) -> None:
        """Set `batches`, the examples of each batch of this epoch."""
        self.batches: Iterable[Any] = batch(self.data(), self.batch_size, self.batch_size_fn)

    @property
    def epoch(self) -> int:
        """Return the number of epochs that are over."""
        return math.floor(self.iterations / len(self))

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        if self.batch_size_fn is not None:
            raise NotImplementedError("with `batch_size_fn`, the number of batches is not known before they are made")
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterating[Batch]:
        while True:
            was_over = self._restored
            self.init_epoch()
            for index, minibatch in enumerate(self.batches):
                if index < self._iterations_this_epoch:  # before the place that was restored
                    continue
                was_over = False
                self.iterations += 1
                self._iterations_this_epoch += 1
                yield self.make_batch(minibatch)
            if not self.repeat and not was_over:  # of an epoch that was restored at its end, nothing is left
                return

    def make_batch(self, minibatch: Any) -> Batch:
        """Return the batch of some examples."""
        if self.sort_within_batch:
            # The largest first, as pack_padded_sequence wants them; those of equal size stay in their order only where
            # they come shuffled.
            minibatch = minibatch[::-1] if self.sort else _sort(minibatch, self.sort_key, reverse=True)
        return Batch(minibatch, self.dataset, self.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the place within the epoch, and the random state at its start."""
        return {
            "iterations": self.iterations,
            "iterations_this_epoch": self._iterations_this_epoch,
            "random_state_this_epoch": self._random_state_this_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was called: the next epoch is the rest of that one."""
        self.iterations = state_dict["iterations"]
        self._iterations_this_epoch = state_dict["iterations_this_epoch"]
        self._random_state_this_epoch = state_dict["random_state_this_epoch"] or self.random_shuffler.random_state
        self._restored = True


class BucketIterator(Iterator):
    """Batches of examples of similar length, which need little padding.

    Examples are shuffled, those of 100 batches each are sorted by length, and their batches shuffled again.

    Args:
        As of `Iterator`.
    """

    def create_batches(self) -> None:
        """Set `batches`, the examples of each batch of this epoch."""
        if self.sort:
            super().create_batches()
            return
        self.batches = pool(
            self.data(),
            self.batch_size,
            self.sort_key,
            self.batch_size_fn,
            random_shuffler=self.random_shuffler,
            shuffle=self.shuffle,
            sort_within_batch=self.sort_within_batch,
        )


class BPTTIterator(Iterator):
    """Batches of consecutive tokens of one long text, and the tokens after them as targets (language models).

    The text is cut into `batch_size` streams of equal length, the last one padded. Each batch has the next `bptt_len`
    tokens of each stream in `text`, and those one further in `target`.

    Args:
        dataset: a data set of one example with the field `text`.
        batch_size: number of streams.
        bptt_len: number of tokens through which gradients flow.
        **kwargs: as of `Iterator`.
    """

    def __init__(self, dataset: Any, batch_size: int, bptt_len: int, **kwargs: Any) -> None:
        self.bptt_len = bptt_len
        super().__init__(dataset, batch_size, **kwargs)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil((len(self.dataset[0].text) / self.batch_size - 1) / self.bptt_len)

    def init_epoch(self) -> None:
        """Start an epoch; `iterations` counts on."""
        iterations = self.iterations
        super().init_epoch()
        self.iterations = iterations

    def create_batches(self) -> None:
        """Set `batches`, the tokens of each and those after them."""
        field = self.dataset.fields["text"]
        text = list(self.dataset[0].text)
        text += [field.pad_token] * (-len(text) % self.batch_size)
        ids = field.numericalize([text], device=self.device).view(self.batch_size, -1).t().contiguous()
        self._fields = Dataset(self.dataset.examples, [("text", field), ("target", field)])
        inputs, targets = ids[:-1], ids[1:]
        steps = [slice(start, start + self.bptt_len) for start in range(0, len(inputs), self.bptt_len)]
        self.batches = [(inputs[step], targets[step]) for step in steps]

    def make_batch(self, minibatch: Any) -> Batch:
        """Return the batch of tokens and targets."""
        text, target = minibatch
        if self.dataset.fields["text"].batch_first:
            text, target = text.t().contiguous(), target.t().contiguous()
        return Batch.fromvars(self._fields, self.batch_size, text=text, target=target)


def batch(data: Iterable[Any], batch_size: int, batch_size_fn: BatchSize | None = None) -> Iterating[list[Any]]:
    """Yield lists of examples whose size reaches `batch_size`, and does not exceed it where that is possible.

    Args:
        data: the examples.
        batch_size: size of a batch.
        batch_size_fn: as in `Iterator`.
    """
    measure = batch_size_fn or _count
    minibatch: list[Any] = []
    size = 0
    for example in data:
        minibatch.append(example)
        size = measure(example, len(minibatch), size)
        if size == batch_size:
            yield minibatch
            minibatch, size = [], 0
        elif size > batch_size:
            if len(minibatch) > 1:  # else one example alone exceeds it
                yield minibatch[:-1]
            minibatch, size = [example], measure(example, 1, 0)
    if minibatch:
        yield minibatch


def pool(
    data: Iterable[Any],
    batch_size: int,
    key: SortKey | None,
    batch_size_fn: BatchSize | None = None,
    random_shuffler: Callable[[Sequence[Any]], list[Any]] | None = None,
    shuffle: bool = False,
    sort_within_batch: bool = False,
) -> Iterating[list[Any]]:
    """Yield batches of buckets: of 100 batches each, the examples are sorted and the batches shuffled.

    Args:
        data: the examples.
        batch_size: as of `batch`.
        key: function of an example that is sorted by.
        batch_size_fn: as in `Iterator`.
        random_shuffler: returns a list in a random order; None: by Python's random state.
        shuffle: whether the batches of a bucket are shuffled.
        sort_within_batch: whether buckets are sorted.
    """
    shuffler = random_shuffler or RandomShuffler()
    for bucket in batch(data, batch_size * BUCKET_BATCHES, batch_size_fn):
        batches = list(batch(_sort(bucket, key) if sort_within_batch else bucket, batch_size, batch_size_fn))
        yield from shuffler(batches) if shuffle else batches


def _count(example: Any, count: int, size: int) -> int:
    return count


def _sort(examples: Iterable[Any], key: SortKey | None, reverse: bool = False) -> list[Any]:
    if key is None:
        raise TypeError(
            "examples are sorted by `sort_key`, which is missing: pass `sort_key=lambda example: len(example.text)`, "
            "or `sort=False` and `sort_within_batch=False`"
        )
    return sorted(examples, key=key, reverse=reverse)
