"""What scores and columns mean: a sentence each, with direction, range and units."""

from typing import NamedTuple

HIGHER, LOWER = "higher is better", "lower is better"


class Term(NamedTuple):
    """What a score or column means.

    Args:
        meaning: a phrase.
        better: `HIGHER` or `LOWER`; empty where neither is.
        extent: range and units.
    """

    meaning: str
    better: str = ""
    extent: str = ""

    @property
    def sentence(self) -> str:
        """Return the meaning with direction, range and units."""
        return "; ".join(part for part in (self.meaning, self.better, self.extent) if part) + "."


ZERO_ONE = "from 0 to 1"
IN_UNITS = "0 or more, in the units of the target"

GLOSSARY: dict[str, Term] = {
    "loss": Term("what training minimises, comparable only between models with the same loss", LOWER),
    # of classes
    "accuracy": Term("fraction of the samples whose most probable class is the true one", HIGHER, ZERO_ONE),
    "balanced_accuracy": Term(
        "mean over the classes of the fraction of their samples that are found, so that rare classes count as much as "
        "frequent ones",
        HIGHER,
        ZERO_ONE,
    ),
    "top_5_accuracy": Term(
        "fraction of the samples with the true class among the five most probable", HIGHER, ZERO_ONE
    ),
    "f1_macro": Term("mean of F1 over the classes or labels that occur, rare ones counting as much", HIGHER, ZERO_ONE),
    "f1_micro": Term("F1 over all pairs of a sample and a label, frequent labels counting more", HIGHER, ZERO_ONE),
    "log_loss": Term("mean of -log of the probability given to the true class", LOWER, "0 or more, in nats"),
    "brier": Term("mean squared error of the probabilities, summed over the classes", LOWER, "from 0 to 2"),
    "ece": Term(
        "expected calibration error: by how much probabilities and the fractions that are right differ, in the mean",
        LOWER,
        ZERO_ONE,
    ),
    "auroc": Term(
        "probability that a sample of a class is ranked above one of another class; 0.5 is chance",
        HIGHER,
        ZERO_ONE,
    ),
    "mAP": Term("mean over the labels of the average precision, which needs no threshold", HIGHER, ZERO_ONE),
    "subset_accuracy": Term("fraction of the samples with exactly the right set of labels", HIGHER, ZERO_ONE),
    "precision": Term("fraction of the samples predicted as the class that are of it", HIGHER, ZERO_ONE),
    "recall": Term("fraction of the samples of the class that are found", HIGHER, ZERO_ONE),
    "f1": Term("harmonic mean of precision and recall", HIGHER, ZERO_ONE),
    "support": Term("number of samples of the class"),
    "threshold": Term("probability from which on the label is given, chosen on the validation split", "", ZERO_ONE),
    "confidence": Term("probability of the most probable class, mean over a bin", "", ZERO_ONE),
    "probability": Term("probability of the predicted class", "", ZERO_ONE),
    "probability_of_true": Term("probability of the true class", HIGHER, ZERO_ONE),
    "fraction": Term("of the samples of the true class", "", ZERO_ONE),
    # of numbers and forecasts
    "mae": Term(
        "mean absolute error: by how much an answer is off on average",
        LOWER,
        f"{IN_UNITS}; beside mae_original, in standard deviations of the training data",
    ),
    "mae_original": Term("mean absolute error: by how much an answer is off on average", LOWER, IN_UNITS),
    "mse": Term("mean squared error", LOWER, "0 or more, in squared standard deviations of the training data"),
    "mse_original": Term("mean squared error", LOWER, "0 or more, in the squared units of the target"),
    "rmse": Term("root of the mean squared error, in which large errors count more", LOWER, IN_UNITS),
    "r2": Term(
        "fraction of the variance that is explained: 1 is perfect, 0 no better than the mean",
        HIGHER,
        "up to 1, negative if worse than the mean",
    ),
    "bias": Term("mean of the forecast less the truth: near 0 is best", "", "in the units of the target"),
    "mase": Term(
        "mean absolute scaled error: that of the forecast divided by that of the seasonal naive forecast in training; "
        "below 1 is better than it",
        LOWER,
        "0 or more, without units",
    ),
    "rmsse": Term("root mean squared scaled error, likewise with squared errors", LOWER, "0 or more, without units"),
    "wape": Term("sum of absolute errors divided by the sum of absolute true values", LOWER, "0 or more; 0.1 is 10 %"),
    "mape": Term("mean of the absolute error divided by the absolute truth", LOWER, "0 or more; 0.1 is 10 %"),
    "smape": Term(
        "mean of twice the absolute error divided by the sum of absolute truth and forecast", LOWER, "from 0 to 2"
    ),
    "pinball": Term("mean loss of the quantiles, which rewards intervals that are right and narrow", LOWER, IN_UNITS),
    "coverage": Term("fraction of the true values inside the interval; its nominal level is best", "", ZERO_ONE),
    "width": Term("mean width of the interval, to compare at the same coverage", LOWER, IN_UNITS),
    "naive_mase": Term("MASE of the naive forecast", LOWER, "0 or more, without units"),
    "beaten_by_naive": Term("whether the naive forecast has the smaller error"),
    "windows": Term("number of forecasts"),
    "values": Term("number of true values that were compared"),
    "step": Term("how many steps ahead"),
    "error": Term("absolute error", LOWER),
    # of all
    "low": Term("lower end of the 95 % interval: other samples of the same kind would give a score in it"),
    "high": Term("upper end of the 95 % interval"),
    "samples": Term("number of samples"),
}
