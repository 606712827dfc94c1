"""Search for good hyperparameters."""
