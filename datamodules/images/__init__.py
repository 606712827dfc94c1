"""Labelled images: layouts, decoding, augmentation, and batches of pixels."""
