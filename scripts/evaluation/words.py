"""The words that decide, of linear nets of texts: overall by class, and in the samples that were wrong."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lightfit.callbacks.pictures.most_wrong import find_wrong
from lightfit.callbacks.pictures.names import shorten
from lightfit.datamodules import Classes, LabelCodec, Numbers
from lightfit.datamodules.samples import Batches
from lightfit.lightning_modules import LightModel
from lightfit.lightning_modules.explaining import find_word_weights

from ..inference.explanation import explain_encoded
from .result import Evaluation

WORDS = "words that decide"  # title of the tables, with the class behind a colon; and column of the wrong samples
MOST_CLASSES, MOST_WORDS = 20, 10
WRONG_WORDS = 5  # of each wrong sample
NAME_WIDTH = 40


def add_words(evaluation: Evaluation, model: LightModel, codec: Any, batches: Batches) -> Evaluation:
    """Add a table of the words that decide for each class, label or number, and those of each wrong sample.

    An evaluation of a net that is not linear, or not of texts, is returned as it is.

    Args:
        evaluation: the evaluation.
        model: the model.
        codec: the codec.
        batches: the samples of the split, encoded.
    """
    weights = None if model.net is None else find_word_weights(model.net)
    if weights is None or not isinstance(codec, LabelCodec) or codec.domain != "text":
        return evaluation
    outputs = evaluation.outputs
    frequent = outputs["target"].bincount(minlength=codec.num_classes) if isinstance(codec.target, Classes) else None
    tables = tabulate_words(weights, codec, None if frequent is None else frequent.cpu())
    evaluation = evaluation._replace(tables=evaluation.tables | tables)
    if evaluation.wrong is None or not len(evaluation.wrong) or "preds" not in outputs or frequent is None:
        return evaluation
    rows = find_wrong(outputs["preds"], outputs["target"]).row[: len(evaluation.wrong)].cpu()
    x = batches[rows][0].to(model.device)
    # What speaks for the class that was predicted wrongly.
    found = explain_encoded(model, codec, x, WRONG_WORDS)
    return evaluation._replace(wrong=evaluation.wrong.assign(**{WORDS: [item.to_text() for item in found]}))


def tabulate_words(weights: Tensor, codec: Any, frequent: Tensor | None = None) -> dict[str, pd.DataFrame]:
    """Return a table of `word` and `weight` by title, for at most 20 classes, labels or numbers: the strongest words.

    Of a class or label they are those that speak most for it; of a number those that change it most, either way, in its
    own units.

    Args:
        weights: what each id adds to each output, (num_ids, K); one column of two classes speaks for the second.
        codec: the codec.
        frequent: number of samples of each class, by which 20 of more classes are chosen, (K,); None: the first ones.
    """
    target = codec.target
    if weights.shape[1] == 1 and codec.num_outputs is None:
        weights = torch.cat([-weights, weights], 1)
    order: Sequence[int] = range(weights.shape[1])
    if frequent is not None and len(frequent) > MOST_CLASSES:
        order = sorted(frequent.argsort(descending=True, stable=True)[:MOST_CLASSES].tolist())
    tables = {}
    for column in order[:MOST_CLASSES]:
        own = weights[:, column].double() * (target.std[column] if isinstance(target, Numbers) else 1.0)
        ranked = (own.abs() if isinstance(target, Numbers) else own).topk(min(MOST_WORDS, len(own)))
        chosen = ranked.indices[ranked.values > 0]
        words, values = codec.ticks(chosen), own[chosen].numpy()
        table = pd.DataFrame({"word": words, "weight": [float(f"{value:.6g}") for value in values]})
        if len(table):
            tables[f"{WORDS}: {shorten(str(target.names[column]), NAME_WIDTH)}"] = table
    return tables
