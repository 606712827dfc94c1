"""The ground floor: what the rooms share, and import from here alone."""
