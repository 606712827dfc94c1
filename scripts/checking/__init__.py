"""What `check` finds in raw data: building the DataModule of a preset, and the page."""
