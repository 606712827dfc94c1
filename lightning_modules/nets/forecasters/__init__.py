"""Forecasters of windows, a file a family: functions and modules from windows (B, C, L) to forecasts (B, C, P)."""
