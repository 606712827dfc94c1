"""Evaluation of a checkpoint: data, scores and report."""
