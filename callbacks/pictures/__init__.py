"""Plots and images of a run."""
