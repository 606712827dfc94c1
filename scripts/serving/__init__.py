"""Serving of a trained model over HTTP."""
