"""Comparison of runs: what lies in a folder of runs, as a table and as a page, and deleting those that are not best."""
