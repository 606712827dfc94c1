"""A linear model over the n-grams of a text, scaled by naive Bayes."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAD = 1


class NgramBag(nn.Module):
    """A bag of n-grams, each present one with a learned weight times a scale that is counted in the training data.

    The scale is the naive-Bayes log-count ratio, of the class where it is largest, so that what tells classes apart
    learns fast. With several classes each has its own weights, and the scale is shared: as exact in the tests as a
    ratio for each class, with half the memory. For labels or numbers it is the deviation of their mean, where the
    n-gram is present, from that of all texts. The sum over a text is divided by the root of its length, in units of the
    mean length in training, so that long texts are no surer than short ones.
    Source: Wang and Manning 2012, "Baselines and Bigrams", section 2.3 (NBSVM) and table 2 (91.22 % on the official
    IMDB test set with bigrams), here with a logistic loss and learned weights from the start.

    Args:
        vocab_size: number of ids: those of the words and of the other n-grams, `<unk>` 0 and `<pad>` 1 included.
        num_classes: number of classes; two classes share one logit.
        num_outputs: number of labels or numbers, where these are predicted; None: classes.
        smoothing: number that is added to every count before the ratio is computed.
        power: exponent of the ratio: 1 as counted, 0 to ignore it.
    """

    takes_ngrams = True  # the order of the ids of a text has no meaning
    is_linear = True  # in the weights of the n-grams, so that explanations are exact
    scale: Tensor
    mean_length: Tensor  # number of n-grams of a training text, ()

    def __init__(
        self,
        vocab_size: int,
        *,
        num_classes: int = 2,
        num_outputs: int | None = None,
        smoothing: float = 1.0,
        power: float = 0.5,
    ) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.power = power
        self.num_outputs = num_outputs
        num_logits = num_outputs or (num_classes if num_classes > 2 else 1)
        self.register_buffer("scale", torch.zeros(vocab_size))
        self.register_buffer("mean_length", torch.ones(()))
        self.weight = nn.Embedding(vocab_size, num_logits, sparse=True)
        self.bias = nn.Parameter(torch.zeros(num_logits))
        nn.init.zeros_(self.weight.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ids of distinct n-grams (B, T) int64 to logits (B, num_classes), or (B, 1) for two classes."""
        share = (self.mean_length / (x != PAD).sum(1, keepdim=True).clamp(min=1)).sqrt()
        if not self.training:
            return (self.weight(x) * self.scale[x][:, :, None]).sum(1) * share + self.bias
        row, _, used, index = flatten_texts(x)
        # Each weight is looked up once a batch: its gradient is then a row of a sparse tensor, already added up.
        weights = self.weight(used) * self.scale[used][:, None]
        sums = weights.new_zeros(len(x), weights.shape[1])
        return sums.index_add(0, row, weights.index_select(0, index)) * share + self.bias

    def word_weights(self) -> Tensor:
        """Return what each n-gram adds to the logits of a text of mean length, (vocab_size, num_logits)."""
        return self.weight.weight.detach() * self.scale[:, None]

    def adapt(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Count the texts of every class, label or number that hold an n-gram, and set the scale; padding has 0."""
        num_ids, num_logits = self.weight.weight.shape
        num_columns = num_logits if self.num_outputs or num_logits > 1 else 2
        sums = self.scale.new_zeros(num_ids, num_columns)
        total = self.scale.new_zeros(num_ids)
        overall, num_texts, binary = sums.new_zeros(num_columns), 0, True
        for x, y in batches:
            y = self._spread(y, num_columns).to(sums.dtype)
            row, ids, used, index = flatten_texts(x)
            held = sums.new_zeros(len(used), num_columns).index_add(0, index, y.index_select(0, row))
            sums.index_add_(0, used, held)
            total += torch.bincount(ids, minlength=num_ids)
            overall, num_texts = overall + y.sum(0), num_texts + len(y)
            binary = binary and bool(((y == 0) | (y == 1)).all())
        if binary:
            scale = self._ratio(sums, total)
        else:
            mean = overall / max(num_texts, 1)
            scale = ((sums - total[:, None] * mean) / (total + self.smoothing)[:, None]).abs().amax(1)
        self.mean_length.copy_((total.sum() / max(num_texts, 1)).clamp(min=1))
        self.scale.copy_(scale.pow(self.power).masked_fill(total == 0, 0.0))

    def _spread(self, y: Tensor, num_columns: int) -> Tensor:
        """Return classes (B,) or (B, 1) as columns of 0 and 1, (B, K); labels and numbers as they are."""
        if self.num_outputs is not None or (y.ndim == 2 and y.shape[1] > 1):
            return y.reshape(len(y), -1)
        return F.one_hot(y.reshape(-1).long(), num_columns)

    def _ratio(self, counts: Tensor, total: Tensor) -> Tensor:
        """Return the absolute log-count ratio of the class where it is largest, (num_ids,)."""
        largest = torch.zeros_like(total)
        for own in counts.unbind(1):
            ratio = _log_frequency(own + self.smoothing) - _log_frequency(total - own + self.smoothing)
            largest = torch.maximum(largest, ratio.abs())
        return largest


def flatten_texts(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the row of each id of (B, T) that is no padding, the ids, the distinct ones, and the index among them."""
    row, column = (x != PAD).nonzero(as_tuple=True)
    ids = x[row, column]
    used, index = torch.unique(ids, return_inverse=True)
    return row, ids, used, index


def _log_frequency(counts: Tensor) -> Tensor:
    return counts.log() - counts.sum().log()
