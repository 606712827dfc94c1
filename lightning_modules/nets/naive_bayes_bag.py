"""A linear model over words and word pairs, scaled by naive Bayes."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

PAD = 1


class NaiveBayesBag(nn.Module):
    """A bag of words and hashed word pairs, each present one weighted by its naive-Bayes log-count ratio.

    The logit is the sum, over the distinct n-grams of a text, of weight times ratio. The ratio is counted once from
    the training data (`adapt`), the weight is learned; with several classes each has its own, against the others.
    It is kept for older checkpoints: `NgramBag`, over the n-grams that occur, is smaller, faster and as accurate.
    Source: Wang and Manning 2012, "Baselines and Bigrams", section 2.3 (NBSVM) and table 2 (91.22 % on the official
    IMDB test set with bigrams), here with a logistic loss and hashed pairs.

    Args:
        vocab_size: number of words, the specials included.
        num_classes: number of classes; two classes share one logit.
        num_outputs: number of labels or numbers, where these are predicted; None: classes.
        num_buckets: number of hash buckets for the word pairs.
        smoothing: count that is added to every count before the ratio is computed.
    """

    is_linear = True  # in the weights of the n-grams, so that explanations are exact
    log_count_ratio: Tensor

    def __init__(
        self,
        vocab_size: int,
        *,
        num_classes: int = 2,
        num_outputs: int | None = None,
        num_buckets: int = 4_000_000,
        smoothing: float = 1.0,
    ) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.num_buckets = num_buckets
        self.smoothing = smoothing
        num_logits = num_outputs or (num_classes if num_classes > 2 else 1)
        self.num_outputs = num_outputs
        self.register_buffer("log_count_ratio", torch.zeros(vocab_size + num_buckets, num_logits))
        self.weight = nn.Embedding(vocab_size + num_buckets, num_logits, sparse=True)
        self.bias = nn.Parameter(torch.zeros(num_logits))
        nn.init.zeros_(self.weight.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map word ids (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes."""
        ids = self.ngrams(x)  # (B, 2T - 1)
        return (self.weight(ids) * self.log_count_ratio[ids]).sum(1) + self.bias

    def ngrams(self, x: Tensor) -> Tensor:
        """Return sorted ids (B, 2T - 1) int64 of the words and pairs of each text; repeats and padding are `<pad>`."""
        ids = self._with_pairs(x).sort(1).values
        repeats = torch.zeros_like(ids, dtype=torch.bool)
        repeats[:, 1:] = ids[:, 1:] == ids[:, :-1]
        return ids.masked_fill(repeats, PAD)

    def parts(self, x: Tensor) -> Tensor:
        """Return the first position of each of the `ngrams` in `x`, and the one after its last, (B, 2T - 1, 2)."""
        place = self._with_pairs(x).sort(dim=1, stable=True).indices  # of equal ones the first counts
        num_words = x.shape[1]
        start = place % num_words
        return torch.stack([start, start + 1 + place // num_words], 2)

    def word_weights(self) -> Tensor:
        """Return what each word adds to the logits, (vocab_size, num_logits); the hashed pairs have no names."""
        return (self.weight.weight.detach() * self.log_count_ratio)[: self.vocab_size]

    def _with_pairs(self, x: Tensor) -> Tensor:
        pairs = hash_pairs(x[:, :-1], x[:, 1:], self.num_buckets) + self.vocab_size
        return torch.cat([x, pairs.masked_fill(x[:, 1:] == PAD, PAD)], 1)

    def adapt(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Count the n-grams of every class and set the log ratios; unseen n-grams, and padding, weigh 0."""
        if self.num_outputs is not None:
            self._adapt_to_values(batches)
            return
        num_rows, num_logits = self.log_count_ratio.shape
        counts = self.log_count_ratio.new_zeros(max(num_logits, 2), num_rows)
        for x, y in batches:
            ids = sort_rows(self._with_pairs(x))
            once = torch.ones_like(ids, dtype=counts.dtype)  # a repeat counts 0
            once[:, 1:] = ids[:, 1:] != ids[:, :-1]
            places = ids + y.reshape(-1, 1).long() * num_rows
            counts.view(-1).index_add_(0, places.flatten(), once.flatten())
        counts[:, PAD] = 0
        total = counts.sum(0)
        for logit, own in enumerate(counts[1:] if num_logits == 1 else counts):
            ratio = _log_frequency(own + self.smoothing) - _log_frequency(total - own + self.smoothing)
            self.log_count_ratio[:, logit] = ratio.masked_fill(total == 0, 0.0)

    def _adapt_to_values(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set for each n-gram, and each label or number, the mean over its texts minus that over all.

        It is drawn towards 0 by `smoothing` texts with the mean of all, as a linear counterpart of the log ratios.
        """
        sums, total = (
            torch.zeros_like(self.log_count_ratio),
            self.log_count_ratio.new_zeros(self.log_count_ratio.shape[0]),
        )
        overall, num_texts = sums.new_zeros(sums.shape[1]), 0
        for x, y in batches:
            ids = self.ngrams(x)
            total.index_add_(0, ids.flatten(), torch.ones_like(ids, dtype=total.dtype).flatten())
            sums.index_add_(0, ids.flatten(), y.to(sums.dtype)[:, None].expand(-1, ids.shape[1], -1).flatten(0, 1))
            overall, num_texts = overall + y.sum(0), num_texts + len(y)
        mean = overall / max(num_texts, 1)
        deviation = (sums - total[:, None] * mean) / (total + self.smoothing)[:, None]
        self.log_count_ratio.copy_(deviation)
        self.log_count_ratio[PAD] = 0


def hash_pairs(first: Tensor, second: Tensor, num_buckets: int) -> Tensor:
    """Hash every pair of ids to a bucket in [0, num_buckets), int64; the constants are those of MurmurHash3's mixer."""
    mixed = (first * 0x85EBCA6B + second) * 0xC2B2AE35
    return (mixed >> 13) % num_buckets


def sort_rows(ids: Tensor) -> Tensor:
    """Sort each row of ids (B, T) int64; on a processor by numpy, which takes a fifth of torch's time."""
    return torch.from_numpy(np.sort(ids.numpy(), 1)) if ids.device.type == "cpu" else ids.sort(1).values


def _log_frequency(counts: Tensor) -> Tensor:
    return counts.log() - counts.sum().log()
