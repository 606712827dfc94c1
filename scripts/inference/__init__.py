"""Prediction from a checkpoint: loading, reading inputs, and tables of predictions."""
