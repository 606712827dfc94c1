"""Predict images with an exported net, with onnxruntime, numpy and Pillow only:
`python onnx_images.py model.onnx a.png b.jpg`."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
known = json.loads(session.get_modelmeta().custom_metadata_map["lightfit"])
height, width = known["height"], known["width"]

images = []
for path in sys.argv[2:]:
    image = Image.open(path).convert("RGB")
    # Scale the image until it covers the size plus a border, then crop the centre.
    scale = max(height / image.height, width / image.width) * known["border"]
    scaled = max(int(image.width * scale + 1e-6), width), max(int(image.height * scale + 1e-6), height)
    if scaled != image.size:
        image = image.resize(scaled, Image.Resampling.BILINEAR)
    left, top = round((scaled[0] - width) / 2), round((scaled[1] - height) / 2)
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), np.float32) / 255
    images.append(((pixels - known["mean"]) / known["std"]).transpose(2, 0, 1))

x = np.stack(images).astype(np.float32)
target = known["target"]
for path, y in zip(sys.argv[2:], session.run(None, {"x": x})[0], strict=True):
    if target["kind"] == "classes":  # a probability for each class
        print(target["names"][y.argmax()], f"{y.max():.6f}", path)
    elif target["kind"] == "multi_label":  # for each label a probability, and the threshold that it must reach
        chosen = [
            name for name, (probability, threshold) in zip(target["names"], y, strict=True) if probability >= threshold
        ]
        print("|".join(chosen), path)
    else:  # for each number its value and the ends of its interval, scaled
        values = y * np.array(target["std"])[:, None] + np.array(target["mean"])[:, None]
        for name, (value, low, high) in zip(target["names"], values, strict=True):
            print(name, f"{value:.6g} ({low:.6g} to {high:.6g})" if low <= high else f"{value:.6g}", path)
