"""Scores and numbers as text, for people."""

import math

LEAST_FIXED, MOST_FIXED = 1e-4, 1e7  # beyond them numbers are written with an exponent


def format_score(value: float) -> str:
    """Return a number with four significant digits or more, however small or large; nothing for NaN.

    Four decimals between 0.1 and 10, all digits before the point up to ten million, and an exponent beyond.
    """
    size = abs(value)
    if math.isnan(value):
        return ""
    if size == 0 or 0.1 <= size < 10 or math.isinf(size):
        return f"{value:.4f}"
    if not LEAST_FIXED <= size < MOST_FIXED:
        return f"{value:.3e}"
    return f"{value:,.0f}" if size >= 999.95 else f"{value:#.4g}"
