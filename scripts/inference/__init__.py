"""A checkpoint made ready, and predictions from it as rows."""
