"""Readers of tables, row by row."""
