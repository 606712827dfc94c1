"""The version of LightFit, and of the checkpoints that it writes."""

VERSION = "0.3.0"  # pyproject.toml reads it from here
FORMAT = 2  # of checkpoints: it changes where an older LightFit could not read them
FORMATS = (1, 2)  # of the checkpoints that this version reads
