"""Whether a score is good: beside the answers that need no net, in sentences that claim no more than the data says."""

from typing import NamedTuple

import numpy as np

from ..cli.score_format import format_score
from .glossary import GLOSSARY, LOWER
from .result import Baseline, Evaluation

DOMINATES = 0.8  # fraction of the most frequent class above which accuracy alone misleads
ERRORS = ("mae", "mae_original")


class Sentence(NamedTuple):
    """A sentence, and how it is shown: good, warning, error or notice."""

    kind: str
    text: str


def judge(evaluation: Evaluation) -> list[Sentence]:
    """Return whether the headline of an evaluation is better than the best of its baselines, and what to beware of."""
    if not evaluation.headline or not evaluation.baselines:
        return []
    best = find_best(evaluation)
    sentences = [_compare(evaluation, best)]
    if evaluation.headline == "accuracy" and best.score >= DOMINATES and "balanced_accuracy" in evaluation.metrics:
        balanced = format_score(evaluation.metrics["balanced_accuracy"])
        text = (
            f"One class has {100 * best.score:.0f} % of the samples, so that accuracy says little: the balanced "
            f"accuracy, in which all classes count the same, is {balanced}."
        )
        sentences.append(Sentence("notice", text))
    return sentences


def find_best(evaluation: Evaluation) -> Baseline:
    """Return the baseline with the best score."""
    known = [own for own in evaluation.baselines if not np.isnan(own.score)] or list(evaluation.baselines)
    return (min if is_error(evaluation.headline) else max)(known, key=lambda own: own.score)


def is_error(metric: str) -> bool:
    """Return whether a lower value of a metric is better."""
    return metric in GLOSSARY and GLOSSARY[metric].better == LOWER


def _compare(evaluation: Evaluation, best: Baseline) -> Sentence:
    own, sign = evaluation.metrics[evaluation.headline], -1 if is_error(evaluation.headline) else 1
    low, high = sorted(sign * end for end in best.find_difference())
    gain = sign * (own - best.score)
    fact = _state(evaluation, best, own, gain)
    ends = f"{format_score(low)} to {format_score(high)}"
    if np.isnan(low):
        return Sentence("warning", f"{fact} Too few samples to tell whether the difference is more than chance.")
    if low > 0:
        return Sentence("good", f"{fact} The difference, {format_score(gain)}, is beyond chance: 95 % interval {ends}.")
    if high < 0:
        loss = f"{format_score(-high)} to {format_score(-low)}"
        return Sentence("error", f"{fact} That is worse, beyond chance: 95 % interval of the difference {loss}.")
    return Sentence(
        "warning",
        f"{fact} That may be chance: the 95 % interval of the difference, {ends}, includes 0, so do not call this "
        f"model {'better' if gain >= 0 else 'worse'}.",
    )


def _state(evaluation: Evaluation, best: Baseline, own: float, gain: float) -> str:
    """Return the two scores as a sentence."""
    name = f"{best.name[:1].upper()}{best.name[1:]}"
    metric = evaluation.headline
    ours, theirs = format_score(own), format_score(best.score)
    if not is_error(metric):
        title = "accuracy" if metric == "accuracy" else f"{metric}"
        return f"{name} gives {theirs}; this model has {'an' if title[0] in 'aeiou' else 'a'} {title} of {ours}."
    percent = 100 * abs(gain) / best.score if best.score else 0
    change = f": {percent:.0f} % {'less' if gain >= 0 else 'more'}" if percent >= 0.5 else ""
    if metric in ERRORS:
        units = f", {evaluation.units}" if evaluation.units else ", in the mean over all numbers"
        return f"{name} errs by {theirs} on average, this model by {ours}{units}{change}."
    return f"{name} has a {metric.upper()} of {theirs}, this model of {ours}{change}."
