"""Forecast with an exported net, with onnxruntime and numpy only, from a CSV of one series or several with a row for
each step, in the order of time: `python onnx_series.py model.onnx table.csv`.

Copy `prepare` and `restore` into your own program: the windows of all series in the table, and forecasts in its units.
"""

import csv
import json
import sys
from datetime import datetime, timezone

import numpy as np
import onnxruntime

MISSING = ("", "na", "n/a", "nan", "null", "none")
BOOLEANS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "yes": 1.0, "no": 0.0}


def encode(cell, column):
    """Return a cell of a covariate as numbers: one, or one for each category."""
    text = cell.strip()
    if column["kind"] != "category":
        convert = float if column["kind"] == "number" else lambda word: BOOLEANS[word.lower()]
        return [np.nan if text.lower() in MISSING else convert(text)]
    if column["first"] is not None:  # two categories in one column; halfway for others
        return [0.0 if text == column["first"] else 1.0 if text in column["values"] else 0.5]
    found = [float(text == value) for value in column["values"]]
    return [*found, float(text in column["rare"])] if column["rare"] else found


def read(path, known):
    """Return times and values of each series in a table by its name, with the columns as in training."""
    roles, covariates = known["roles"], known["covariates"]
    columns = [{"name": name, "kind": "number"} for name in roles["targets"]]
    columns += [column for role in ("past", "known", "static") for column in covariates[role]]
    series = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            times, values = series.setdefault(", ".join(row[name].strip() for name in roles["series_id"]), ([], []))
            times.append(" ".join(row[name] for name in roles["time"]))
            values.append([value for column in columns for value in encode(row[column["name"]], column)])
    return {name: (times, np.array(values)) for name, (times, values) in series.items()}


def fill(times, values, how):
    """Fill missing values as in training, unless the net gets masks of them."""
    missing = np.isnan(values)
    if how == "mask" or not missing.any():
        return values
    if how == "error" or missing[0].any():
        raise ValueError("values are missing, and the model was not trained to fill them")
    places = np.arange(len(values), dtype=float)
    if how == "interpolate":
        try:
            dates = [datetime.fromisoformat(time.strip()) for time in times]
            places = np.array(
                [(date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() for date in dates]
            )
        except ValueError:
            pass  # not written as ISO 8601: steps count as equally long
    filled = values.copy()
    for column, holes in zip(filled.T, missing.T, strict=True):
        if how == "interpolate":
            column[holes] = np.interp(places[holes], places[~holes], column[~holes])
        else:
            column[:] = column[np.maximum.accumulate(np.where(holes, 0, np.arange(len(column))))]
    return filled


def find_scale(name, past, known):
    """Return mean and deviation of each column: those of the training, or of a new series its own."""
    means, stds = np.array(known["mean"]), np.array(known["std"])
    if len(means) == 1 or name in known["names"]:
        row = known["names"].index(name) if len(means) > 1 else 0
        return means[row], stds[row]
    mean, std = np.zeros(past.shape[1]), np.ones(past.shape[1])
    given = ~np.isnan(past).all(0)
    if known["scaling"] == "mean":
        size = np.nanmean(np.abs(past[:, given]), 0)
        std[given] = np.where(size > 0, size, 1)
    elif known["scaling"] == "standard":
        mean[given], spread = np.nanmean(past[:, given], 0), np.nanstd(past[:, given], 0)
        size = np.abs(mean[given])
        std[given] = np.where(spread > 1e-12 * np.maximum(size, 1e-300), spread, np.where(size == 0, 1, size))
    same = ~given | ((means == means[0]).all(0) & (stds == stds[0]).all(0))
    return np.where(same, means[0], mean), np.where(same, stds[0], std)


def prepare(path, known):
    """Return a window for each series in a table: name, `x` (steps, features) float32, and what undoes the scale."""
    return [cut(name, times, values, known) for name, (times, values) in read(path, known).items()]


def cut(name, times, values, known):
    """Return the last window of a series."""
    lookback, horizon, diff, num_known = (known[key] for key in ("lookback", "horizon", "diff", "num_known"))
    num_targets, num_values = len(known["roles"]["targets"]), values.shape[1] - known["num_static"]
    given = np.flatnonzero(~np.isnan(values[:, :num_targets]).all(1))
    end = int(given[-1]) + 1 if len(given) else 0  # later rows hold only columns known ahead
    if end < (needed := diff + (1 if known["masked"] else lookback)):
        raise ValueError(f"series '{name}': expected at least {needed} rows with a target, received {end}")
    past = fill(times[:end], values[:end], known["fill"])
    levels = [np.diff(past[:, :num_targets], order, axis=0)[-1] for order in range(diff)]
    past = np.concatenate([np.diff(past[:, :num_targets], diff, axis=0), past[diff:, num_targets:]], 1)
    mean, std = find_scale(name, past, known)
    rows = past[-(lookback + horizon) :]
    end, pad, ahead = len(rows), max(lookback - len(rows), 0), values[end : end + horizon].copy()
    if num_known:
        columns = slice(num_values - num_known, num_values)
        if len(ahead) < horizon or np.isnan(ahead[:, columns]).any():
            raise ValueError(
                f"series '{name}': expected {horizon} rows after the last target, with what is known ahead"
            )
        ahead[:, : num_values - num_known] = np.nan
        rows = np.concatenate([rows, ahead])
    scaled = (rows - mean) / std
    dynamic = np.concatenate([np.full((pad, num_values), np.nan), scaled[:, :num_values]])
    missing = np.isnan(dynamic)
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(dynamic))[:, None]), 0)
    filled = np.where(last >= 0, np.take_along_axis(dynamic, np.maximum(last, 0), 0), 0)
    shifted = np.zeros((len(filled), num_known))  # what is known of the steps to forecast, a horizon earlier
    shifted[: max(len(filled) - horizon, 0)] = filled[horizon:, num_values - num_known :]
    static = np.repeat(np.nan_to_num(scaled[:1, num_values:]), len(filled), 0)
    blocks = np.concatenate([filled, shifted, static, missing] if known["masked"] else [filled, shifted, static], 1)
    x = blocks[pad + end - lookback : pad + end].astype(np.float32)
    return {"name": name, "x": x, "mean": mean[:num_targets], "std": std[:num_targets], "levels": levels}


def restore(y, window, known):
    """Return forecasts (steps, targets, quantiles) in the units of the table."""
    y = y.reshape(known["horizon"], len(window["mean"]), -1).astype(np.float64)
    y = y * window["std"][:, None] + window["mean"][:, None]
    for level in reversed(window["levels"]):
        y = y.cumsum(0) + level[:, None]
    return np.maximum(y, np.array([-np.inf if low is None else low for low in known["lower"]])[:, None])


def main(model, path):
    """Print the forecasts of each step: the median, if the net gives quantiles."""
    session = onnxruntime.InferenceSession(model)
    known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
    windows = prepare(path, known)
    for window, y in zip(windows, session.run(None, {"x": np.stack([own["x"] for own in windows])})[0], strict=True):
        forecasts = restore(y, window, known)
        for step, forecast in enumerate(forecasts[:, :, forecasts.shape[2] // 2], 1):
            values = (f"{name} {value:.7g}" for name, value in zip(known["roles"]["targets"], forecast, strict=True))
            print(step, *values, window["name"])


if __name__ == "__main__":
    main(*sys.argv[1:])
