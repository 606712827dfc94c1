"""Long names on pictures: their width, cut in the middle, and wrapped."""

import unicodedata
from collections.abc import Iterator

ELLIPSIS = "…"
BREAKS = " _-./\\,;:|"  # a line may end after one of these


def measure_width(text: str) -> int:
    """Return the width of a text in columns: two for a Chinese, Japanese or Korean character, none for a mark."""
    return sum(_measure(char) for char in text)


def _measure(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """Return a text on one line, cut in the middle to a width: the ends of names tell them apart.

    Args:
        text: the text; blanks, line breaks and characters that cannot be printed become one blank each.
        width: the largest width, in columns as of `measure_width`.
    """
    text = " ".join("".join(char if char.isprintable() or _measure(char) == 0 else " " for char in text).split())
    if measure_width(text) <= width:
        return text
    room = max(width - 1, 0)
    clusters = list(_split_clusters(text))
    start, used = "", 0
    for cluster in clusters:
        if used + measure_width(cluster) > room - room // 2:
            break
        start, used = start + cluster, used + measure_width(cluster)
    end = ""
    for cluster in reversed(clusters):
        if used + measure_width(cluster) > room:
            break
        end, used = cluster + end, used + measure_width(cluster)
    return f"{start}{ELLIPSIS}{end}"


def wrap(text: str, width: int, lines: int = 2) -> str:
    """Return a text on at most some lines, broken after a blank or a sign where there is one, and cut in the middle.

    Args:
        text: the text.
        width: the largest width of a line, in columns as of `measure_width`.
        lines: the most lines.
    """
    for room in range(width * lines, 0, -1):  # a break after a sign leaves less room than the lines have
        wrapped = _wrap(shorten(text, room), width)
        if len(wrapped) <= lines:
            return "\n".join(wrapped)
    return ELLIPSIS


def _wrap(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for piece in _split_pieces(text, width):
        if line and measure_width(line) + measure_width(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()]


def _split_pieces(text: str, width: int) -> Iterator[str]:
    """Split after signs; pieces that are wider than a line are split anywhere."""
    piece, signs = "", False
    for cluster in _split_clusters(text):
        is_sign = cluster[0] in BREAKS
        if piece and ((signs and not is_sign) or measure_width(piece) + measure_width(cluster) > width):
            yield piece
            piece = ""
        piece, signs = piece + cluster, is_sign
    yield piece


def _split_clusters(text: str) -> Iterator[str]:
    """Split a text into characters, each with the marks that follow it."""
    cluster = ""
    for char in text:
        if cluster and not unicodedata.category(char).startswith("M"):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster
