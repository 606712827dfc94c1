"""What is fitted on the validation split: a temperature of probabilities, and thresholds of labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_SAMPLES = 30  # of val: with fewer a temperature would follow their noise
MIN_POSITIVES = 5  # of a label in val, for a threshold of its own
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are searched
STEPS = 60  # at most; Newton's method takes about five, and bisection halves the rest of the range


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature that logits are to be divided by for the lowest log loss.

    1 where there are under `MIN_SAMPLES` samples, or where the log loss would not improve. The search is over the
    inverse of the temperature, in which the loss is convex; the labels are smoothed by a sample of each class, so that
    classes that are separated without an error do not get probabilities of 1.
    Sources: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; the smoothing as in Platt 1999,
    "Probabilistic Outputs for Support Vector Machines", section 2.2.

    Args:
        logits: of the validation split, (N, num_classes), or (N, 1) for two classes.
        labels: class indices, (N,).
    """
    if len(logits) < MIN_SAMPLES:
        return 1.0
    scores = logits.detach().cpu().double()
    labels = labels.detach().cpu().reshape(-1).long()
    if scores.shape[1] == 1:
        scores = torch.cat([torch.zeros_like(scores), scores], 1)
    scores = scores - scores.mean(1, keepdim=True)
    smoothing = 1 / (len(scores) + 2)
    own = scores.gather(1, labels[:, None]).mean() * (1 - smoothing)  # the mean of all classes is 0
    low, high, scale = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(STEPS):
        probabilities = (scale * scores).softmax(1)
        means = (probabilities * scores).sum(1)
        slope = float(means.mean() - own)
        curvature = float((probabilities * scores.square()).sum(1).sub(means.square()).mean())
        low, high = (scale, high) if slope < 0 else (low, scale)
        step = scale - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - scale) < 1e-9 * scale:
            break
        scale = following
    improved = float(F.cross_entropy(scale * scores, labels)) < float(F.cross_entropy(scores, labels))
    return 1 / scale if improved else 1.0


def choose_candidate(candidates: Tensor, labels: Tensor, *, calibrate: bool) -> int:
    """Choose the candidate whose probabilities have the lowest log loss, each with a temperature of its own.

    The first one, where there are under `MIN_SAMPLES` samples.

    Args:
        candidates: scores of the validation split by each candidate, (N, K, num_classes).
        labels: class indices, (N,).
        calibrate: whether the temperature is fitted; else it is 1.
    """
    if len(candidates) < MIN_SAMPLES:
        return 0
    labels = labels.detach().cpu().reshape(-1).long()
    losses = []
    for scores in candidates.detach().cpu().double().unbind(1):
        temperature = fit_temperature(scores, labels) if calibrate else 1.0
        losses.append(float(F.cross_entropy(scores / temperature, labels)))
    return losses.index(min(losses))


def choose_thresholds(probabilities: Tensor, y: Tensor) -> Tensor:
    """Choose for each label the threshold with the highest F1, (K,) float32; 0.5 with under `MIN_POSITIVES` samples.

    A threshold lies in the middle between the two probabilities that it separates.

    Args:
        probabilities: of the validation split, (N, K).
        y: 1 where a sample has the label, else 0, (N, K).
    """
    probabilities, y = probabilities.detach().cpu().double(), y.detach().cpu().double()
    thresholds = torch.full((y.shape[1],), 0.5)
    for label in range(y.shape[1]):
        num_positives = y[:, label].sum()
        if num_positives < MIN_POSITIVES:
            continue
        ranked, order = probabilities[:, label].sort(descending=True)
        hits = y[order, label].cumsum(0)
        f1 = 2 * hits / (torch.arange(1, len(ranked) + 1) + num_positives)
        following = torch.cat([ranked[1:], ranked.new_zeros(1)])
        f1 = f1.where(ranked > following, -1.0)  # equal probabilities are not separated
        best = int(f1.argmax())
        thresholds[label] = (ranked[best] + following[best]) / 2
    return thresholds
