"""Forecast with an exported net, with onnxruntime and numpy only, from a table of one series without gaps:
`python onnx_series.py model.onnx table.csv`. Of several series, `python onnx_series.py model.onnx table.csv NAME` names
the one that the table holds. All columns must be numbers."""

import csv
import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
targets, columns = known["roles"]["targets"], known["columns"]
lookback, horizon, diff, num_known, num_static = (
    known[name] for name in ("lookback", "horizon", "diff", "num_known", "num_static")
)
series = known["names"].index(sys.argv[3]) if len(sys.argv) > 3 else 0
mean, std = (np.array(known[name])[series if len(known[name]) > 1 else 0] for name in ("mean", "std"))
with open(sys.argv[2], newline="", encoding="utf-8-sig") as file:
    rows = [[float(row[name] or "nan") for name in columns] for row in csv.DictReader(file)]

table, num_targets = np.array(rows), len(targets)
end = int(np.flatnonzero(~np.isnan(table[:, :num_targets]).all(1))[-1]) + 1  # later rows hold only columns known ahead
levels = [np.diff(table[:end, :num_targets], order, axis=0)[-1].copy() for order in range(diff)]
table[diff:end, :num_targets] = np.diff(table[:end, :num_targets], diff, axis=0)
scaled = (table - mean) / std
dynamic = scaled[:, : scaled.shape[1] - num_static]
pad = max(lookback - (end - diff), 0)  # a short series is padded at the front, and masked there
window = np.concatenate([np.zeros((pad, dynamic.shape[1])), dynamic[end - lookback + pad : end]])
blocks = [window]
if num_known:  # again, shifted by the horizon
    ahead = dynamic[max(end - lookback + horizon, 0) : end + horizon, -num_known:]
    blocks.append(np.concatenate([np.zeros((lookback - len(ahead), num_known)), ahead]))
blocks.append(np.repeat(scaled[:1, scaled.shape[1] - num_static :], lookback, 0))
if known["masked"]:
    blocks.append(np.repeat((np.arange(lookback) < pad)[:, None], dynamic.shape[1], 1))

x = np.concatenate(blocks, 1)[None].astype(np.float32)
y = session.run(None, {"x": x})[0][0].reshape(horizon, num_targets, -1).astype(np.float64)
y = y * std[:num_targets, None] + mean[:num_targets, None]
for level in reversed(levels):
    y = y.cumsum(0) + level[:, None]
y = np.maximum(y, np.array([-np.inf if low is None else low for low in known["lower"]])[:, None])
for step, forecast in enumerate(y[:, :, y.shape[2] // 2], 1):  # the median of the quantiles
    print(step, *(f"{name} {value:.7g}" for name, value in zip(targets, forecast, strict=True)))
