"""Time series: tables, calendar, scaling and windows."""
