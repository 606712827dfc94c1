"""Forecast with an exported net, with onnxruntime and numpy only, from a table of one series without gaps:
`python onnx_series.py model.onnx table.csv`."""

import csv
import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
targets, past, ahead = (known["roles"][kind] for kind in ("targets", "past", "known"))
lookback, horizon, diff = known["lookback"], known["horizon"], known["diff"]
with open(sys.argv[2], newline="", encoding="utf-8-sig") as file:
    rows = [[float(row[name] or "nan") for name in [*targets, *past, *ahead]] for row in csv.DictReader(file)]

table, num_targets = np.array(rows), len(targets)
end = int(np.flatnonzero(~np.isnan(table[:, :num_targets]).all(1))[-1]) + 1  # later rows hold only columns known ahead
levels = [np.diff(table[:end, :num_targets], order, axis=0)[-1].copy() for order in range(diff)]
table[diff:end, :num_targets] = np.diff(table[:end, :num_targets], diff, axis=0)
scaled = (table - known["mean"]) / known["std"]
x = scaled[end - lookback : end]
if ahead:  # again, shifted by the horizon
    x = np.concatenate([x, scaled[end - lookback + horizon : end + horizon, -len(ahead) :]], 1)

y = session.run(None, {"x": x[None].astype(np.float32)})[0][0].reshape(horizon, num_targets, -1).astype(np.float64)
y = y * np.array(known["std"])[:num_targets, None] + np.array(known["mean"])[:num_targets, None]
for level in reversed(levels):
    y = y.cumsum(0) + level[:, None]
for step, forecast in enumerate(y[:, :, y.shape[2] // 2], 1):  # the median of the quantiles
    print(step, *(f"{name} {value:.4f}" for name, value in zip(targets, forecast, strict=True)))
