"""Labels that are probably wrong, by confident learning on predictions of models that did not see the samples."""

import importlib.util

import numpy as np
import pandas as pd
from torch import Tensor

PACKAGE = "cleanlab"


def find_label_errors(
    probabilities: Tensor, labels: Tensor, places: list[str], names: list[str]
) -> pd.DataFrame | None:
    """Find labels that are probably wrong, by cleanlab; None where it is not installed.

    Source: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".

    Args:
        probabilities: of models that were not trained on the samples, (N, num_classes).
        labels: the given labels, (N,) int64.
        places: the place of each sample, such as its file.
        names: names of the classes.

    Returns:
        Columns `file`, `label`, `suggested`, `quality` (from 0, surely wrong, to 1), the most suspicious first.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    given, scores = labels.numpy(), probabilities.double().numpy()
    scores = scores / scores.sum(1, keepdims=True)
    # A class that no sample is labelled with has no threshold of confidence: it is left out.
    present = np.unique(given)
    given, scores = np.searchsorted(present, given), scores[:, present]
    scores = scores / np.maximum(scores.sum(1, keepdims=True), 1e-12)
    columns = ["file", "label", "suggested", "quality"]
    if len(present) < 2:
        return pd.DataFrame(columns=columns)
    rows = find_label_issues(given, scores, return_indices_ranked_by="self_confidence", n_jobs=1)
    quality = get_label_quality_scores(given, scores)
    suggested = scores.argmax(1)
    table = [
        (places[row], names[present[given[row]]], names[present[suggested[row]]], round(float(quality[row]), 6))
        for row in rows
    ]
    return pd.DataFrame(table, columns=columns)
