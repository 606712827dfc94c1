"""Weights that stay finite, and weights that are averaged."""
