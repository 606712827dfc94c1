"""Search for good values."""
