"""Classify images with an exported net, with onnxruntime, numpy and Pillow only:
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
for path, probabilities in zip(sys.argv[2:], session.run(None, {"x": x})[0], strict=True):
    print(known["class_names"][probabilities.argmax()], f"{probabilities.max():.6f}", path)
