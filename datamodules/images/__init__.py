"""Labelled images: file layouts, decoding, augmentation and batches."""
