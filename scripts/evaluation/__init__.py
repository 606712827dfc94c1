"""Scores of a checkpoint, and the report."""
