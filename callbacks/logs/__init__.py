"""History, progress and hyper-parameters."""
