"""Encodings of tables: found and confirmed, or refused."""

# ruff: noqa: RUF001

from pathlib import Path

import pytest

from lightfit.datamodules.tables import encoding as encodings
from lightfit.datamodules.tables.content import open_bytes
from lightfit.datamodules.tables.encoding import find_encoding
from lightfit.datamodules.tables.options import TableOptions
from lightfit.datamodules.text.sources import read_path
from lightfit.errors import DataError

TEXTS = {
    "chinese": "这部电影很好看,pos\n太难看了,neg\n",
    "traditional": "這部電影非常好看，我很喜歡,pos\n劇情太差，演員也不好,neg\n",
    "japanese": "この映画はとても面白かった。,pos\nつまらない話でした。俳優も悪い,neg\n",
    "korean": "이 영화는 정말 재미있었다,pos\n지루하고 배우도 나빴다,neg\n",
    "german": "Der Film war schön und größer als erwartet,pos\nÜbel müde Schauspieler,neg\n",
    "french": "le film est très bon, l’été,pos\nune œuvre déjà vue à l’écran,neg\n",
    "russian": "Очень хороший фильм,pos\nПлохая игра актёров,neg\n",
    "greek": "πολύ καλή ταινία,pos\nκακή ταινία,neg\n",
    "polish": "bardzo dobry film, świetna gra,pos\nzły film, żałosny źle nie jest,neg\n",
    "turkish": "bu film çok güzel ve iyiydi,pos\nkötü oyuncular, sıkıcı bir şey,neg\n",
}


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("chinese", "gb18030"),
        ("traditional", "big5"),
        ("traditional", "gb18030"),
        ("japanese", "cp932"),
        ("japanese", "euc_jp"),
        ("korean", "cp949"),
        ("german", "cp1252"),
        ("french", "cp1252"),
        ("russian", "cp1251"),
        ("russian", "koi8_r"),
        ("greek", "cp1253"),
        ("polish", "cp1250"),
        ("turkish", "cp1254"),
        *((language, encoding) for language in TEXTS for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-16")),
    ],
)
def test_encodings_are_found(language: str, encoding: str) -> None:
    raw = (TEXTS[language] * 2).encode(encoding)
    assert find_encoding(open_bytes("a.csv", raw)) == (encoding, False, False)


def test_a_mark_never_becomes_part_of_a_name() -> None:
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        Path("a.csv").write_bytes("text,label\nein schöner Film,x\n".encode(encoding))
        source = read_path(Path("a.csv"))
        assert [item[:2] for item in source.splits["train"]] == [("ein schöner Film", "x")]
        assert source.text_column == "text"


def test_an_encoding_that_is_not_sure_names_two() -> None:
    raw = ("très bon, déjà vu\n" * 5).encode("cp1252")
    with pytest.raises(DataError, match=r"'a.csv' is not UTF-8, .* perhaps cp1252 or cp1250: set `encoding`"):
        find_encoding(open_bytes("a.csv", raw))
    assert find_encoding(open_bytes("a.csv", raw), "cp1252").name == "cp1252"


def test_utf8_with_some_bad_bytes_has_bad_rows() -> None:
    Path("a.csv").write_bytes("text,label\nschön,x\n".encode() * 1 + b"caf\xe9,y\n" + "größer,x\n".encode() * 200)
    source = read_path(Path("a.csv"), options=TableOptions(on_error="skip"))
    assert len(list(source.splits["train"])) == 201
    assert source.skipped == [
        "a.csv, line 3: not UTF-8 (byte 0xe9); correct the row, or set `encoding` to the one that the file was saved "
        "with, such as cp1252 or gb18030"
    ]


def test_the_whole_file_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "BLOCK_BYTES", 16)  # characters are cut between blocks
    for encoding in ("utf-8", "gb18030"):
        found = find_encoding(open_bytes("a.csv", (TEXTS["chinese"] * 5).encode(encoding)))
        assert found == (encoding, False, False)
    raw = TEXTS["chinese"].encode("gb18030") * 60 + b"\xff\xff\n"
    with pytest.raises(DataError, match="is not sure, perhaps gb18030 or "):
        find_encoding(open_bytes("a.csv", raw))


def test_what_is_no_text() -> None:
    with pytest.raises(DataError, match="'a.csv' is not a text: it holds 512 NUL bytes"):
        find_encoding(open_bytes("a.csv", bytes([0, 0, 7, 200]) * 256))
    assert find_encoding(open_bytes("a.csv", b"text,label\na\0b,x\n")) == ("utf-8", False, True)


def test_a_given_encoding_must_exist() -> None:
    with pytest.raises(ValueError, match="expected `encoding` as a name such as utf-8.*received 'utf-99'"):
        TableOptions(encoding="utf-99")
