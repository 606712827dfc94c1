"""The version of LightFit, and of the checkpoints that it writes."""

VERSION = "0.2.0"  # pyproject.toml reads it from here
FORMAT = 1  # of checkpoints: another number where an older LightFit could not read them, or a newer one theirs
