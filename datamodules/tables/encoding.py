"""The encoding of a text file, found from its bytes and confirmed by decoding all of them."""

import codecs
import io
from collections.abc import Iterator
from typing import NamedTuple

from lightfit.errors import DataError
from lightfit.extras import importing_extra

from .content import Content, report_damage
from .frequent import COMMON_SIGNS, DENSE, LATIN, LEAST, WORDS

BLOCK_BYTES = 2**20
SAMPLE_BYTES = 2**15  # of lines that are not ASCII, from each of the places
PLACES = 24  # of a file from which lines are sampled, more and more apart
MIN_CHARS = 4  # other than ASCII, to tell anything from
CLOSE = 0.75  # an encoding whose score is this fraction of the best cannot be ruled out
BINARY = 0.02  # fraction of NUL bytes above which a file is no text
FEW_NULS = 8
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Encoding(NamedTuple):
    """The encoding of a file.

    Args:
        name: name of the codec.
        damaged: whether some of the bytes are not of this encoding.
        has_nul: whether there are NUL characters.
    """

    name: str
    damaged: bool = False
    has_nul: bool = False

    @property
    def label(self) -> str:
        """Return the name as people write it."""
        if self.name == "cp932":
            return "Shift_JIS (cp932)"
        return self.name.removesuffix("-sig").upper().replace("_", "-").replace("CP", "cp")


def find_encoding(content: Content, given: str | None = None) -> Encoding:
    """Find the encoding of a text file.

    UTF-8 that is damaged at a few places is UTF-8 with bad rows.

    Args:
        content: the file.
        given: the encoding, if it is known: it is only confirmed.

    Raises:
        DataError: the file is not a text, or its encoding is not sure; the message names the candidates.
    """
    start = content.read_start(4)
    marked = next((name for mark, name in BOMS.items() if start.startswith(mark)), None)
    name = given or marked or "utf-8"
    if given and marked and codecs.lookup(given).name in ("utf-8", "utf-16", "utf-32"):
        name = marked
    scan = _scan(content, name)
    has_nul = scan.nuls > 0 and not name.startswith(("utf-16", "utf-32"))
    if given or marked or (scan.whole and not scan.is_binary):
        return Encoding(name, damaged=not scan.whole, has_nul=has_nul)
    if scan.nuls:
        if (wide := _find_wide(scan)) and _scan(content, wide).whole:
            return Encoding(wide)
        if scan.is_binary:
            raise DataError(f"'{content.name}' is not a text: it holds {scan.nuls:,} NUL bytes")
    sample = scan.sample
    if _is_mostly_utf8(sample):
        return Encoding("utf-8", damaged=True, has_nul=has_nul)
    return Encoding(_choose(content, sample), has_nul=has_nul)


class _Scan(NamedTuple):
    """What one pass over a file has found: whether all decodes, NUL bytes, and lines that are not ASCII."""

    whole: bool
    size: int
    nuls: int
    odd_nuls: int
    sample: bytes

    @property
    def is_binary(self) -> bool:
        """Return whether there are more NUL bytes than a few in a damaged text."""
        return self.nuls > BINARY * self.size and (self.nuls > FEW_NULS or self.nuls > 0.2 * self.size)


def _scan(content: Content, encoding: str) -> _Scan:
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder(encoding)("strict")
    whole, size, nuls, odd, taken, next_place, samples = True, 0, 0, 0, 0, 0, []
    ascii_based = encoding.startswith(("utf-8", "cp", "gb", "big5", "euc", "koi8", "latin", "iso"))
    clean = True  # the decoder holds no unfinished character
    with report_damage(content.name), content.open() as file:
        while block := file.read(BLOCK_BYTES):
            size += len(block)
            if b"\0" in block:
                nuls += block.count(0)
                odd += block[1::2].count(0)
            if ascii_based and clean and block.isascii() and encoding != "utf-8-sig":
                continue
            if decoder is not None:
                try:
                    decoder.decode(block)
                    clean = decoder.getstate()[0] == b""
                except UnicodeError:
                    whole, decoder, clean = False, None, False
            if taken < PLACES and size >= next_place:
                samples.append(_sample_lines(block))
                taken, next_place = taken + 1, size + (size >> 2)
    if decoder is not None:
        try:
            decoder.decode(b"", final=True)
        except UnicodeError:
            whole = False
    return _Scan(whole, size, nuls, odd, b"\n".join(samples))


def _sample_lines(block: bytes) -> bytes:
    """Return whole lines with bytes that are not ASCII: none of the encodings has a line end within a character."""
    lines, size = [], 0
    for line in block.replace(b"\r", b"\n").split(b"\n"):
        if not line.isascii():
            lines.append(line[:SAMPLE_BYTES])
            size += len(line)
            if size > SAMPLE_BYTES:
                break
    return b"\n".join(lines)


def _find_wide(scan: _Scan) -> str | None:
    """Return UTF-16 without a mark, where NUL bytes are on one side alone: line ends and delimiters have one."""
    if scan.size % 2 or scan.nuls < BINARY * scan.size:
        return None
    if scan.odd_nuls > 0.8 * scan.nuls:
        return "utf-16-le"
    return "utf-16-be" if scan.odd_nuls < 0.2 * scan.nuls else None


def _is_mostly_utf8(sample: bytes) -> bool:
    decoded = sample.decode("utf-8", "surrogateescape")
    beyond = [char for char in decoded if not char.isascii()]
    bad = sum("\udc80" <= char <= "\udcff" for char in beyond)
    return bad < MIN_CHARS or bad <= 0.01 * len(beyond)


def _choose(content: Content, sample: bytes) -> str:
    scores: dict[str, float] = {}
    decoded: dict[str, str] = {}
    for name in [*DENSE, *LATIN]:
        try:
            decoded[name] = sample.decode(name)
        except UnicodeDecodeError as error:
            # A sampled line may be cut, and a file may be damaged: not at more than one place in a thousand.
            text = sample.decode(name, "replace")
            if text.count("\ufffd") > 1e-3 * len(sample) or error.start == 0:
                continue
            decoded[name] = text
        scores[name] = _score(decoded[name], name)
    best = sorted(scores, key=lambda name: -scores[name])
    sure = [name for name in best if scores[name] >= LEAST[name]]
    sure = [
        name for name in sure if scores[name] / LEAST[name] >= CLOSE * max(scores[own] / LEAST[own] for own in sure)
    ]
    if len(sure) > 1:
        sure = _choose_by_words(sure, decoded)
    if len(sure) == 1 and _scan(content, sure[0]).whole:
        return sure[0]
    candidates = (sure + [name for name in best if name not in sure] if sure else _guess(sample)) or best
    shown = " or ".join(dict.fromkeys(candidates[:2])) or "unknown"
    raise DataError(
        f"'{content.name}' is not UTF-8, and its encoding is not sure, perhaps {shown}: set `encoding` to the one that "
        "it was saved with, or save it as UTF-8"
    )


def _score(text: str, name: str) -> float:
    """Return the fraction of the characters other than ASCII that are frequent, and stand as they do in a language."""
    dense, frequent = name in DENSE, DENSE.get(name) or LATIN[name]
    found = num_chars = 0
    for before, char, after in zip(f" {text[:-1]}", text, f"{text[1:]} ", strict=True):
        if char.isascii() or char in COMMON_SIGNS:
            continue
        num_chars += 1
        if char in frequent:
            beside = (not before.isascii()) + (not after.isascii())
            found += beside > 0 if dense else beside < 2
    return found / num_chars if num_chars >= MIN_CHARS else 0.0


def _choose_by_words(names: list[str], decoded: dict[str, str]) -> list[str]:
    """Return the one of several encodings that the plain words speak for, or all of them."""
    if len({decoded[name] for name in names}) == 1:
        return [min(names, key=[*LATIN, *DENSE].index)]
    if not set(names) <= set(LATIN):
        return names
    words = decoded[names[0]].lower().split()
    counts = {name: sum(word in WORDS[name] for word in words) for name in names}
    first, second = sorted(names, key=lambda name: -counts[name])[:2]
    return [first] if counts[first] >= 2 and counts[first] > 3 * counts[second] else names


def _guess(sample: bytes) -> list[str]:
    """Return candidates among all encodings that charset-normalizer knows, the likeliest first."""
    with importing_extra("to guess an encoding"):
        from charset_normalizer import from_bytes  # imported here, as few files need it
    return [match.encoding for match in from_bytes(sample)]


def decode_lines(content: Content, encoding: Encoding, max_chars: int) -> Iterator[str]:
    """Yield the lines of a text file with their ends; a line beyond `max_chars` comes in pieces of this length.

    Bytes that are not of the encoding become surrogates, as of `surrogateescape`.
    """
    errors = "surrogateescape" if encoding.damaged else "strict"
    with report_damage(content.name), content.open() as file:
        text = io.TextIOWrapper(file, encoding=encoding.name, errors=errors, newline="")
        yield from iter(lambda: text.readline(max_chars), "")
