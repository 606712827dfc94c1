"""Unknown words: notes of texts, and warnings at the start of a run."""

from pathlib import Path

import pytest
import torch
from conftest import make_reviews, write_csv

from lightfit.datamodules import Codec, TextDataModule

ANY = "lightfit.datamodules.text.tokenize_any"
WORDS = "lightfit.datamodules.text.tokenize_words"


def find_warnings(path: Path, **arguments: object) -> list[str]:
    data = TextDataModule(str(path), **arguments)  # type: ignore[arg-type]
    data.setup()
    return [line for line in data.loaded.findings.warnings if "vocabulary" in line]


def test_scripts_without_blanks_are_named_with_the_way_out(tmp_path: Path) -> None:
    parts = [("演员", "音乐", "剧情", "结局"), ("很好看", "不错", "难看", "很差"), ("啊", "吧", "呢", "了", "哦")]
    texts = [f"{a}{b}{c}" for a in parts[0] for b in parts[1] for c in parts[2]]
    path = write_csv(
        tmp_path / "zh.csv", [(text, "pos" if "好" in text or "不错" in text else "neg") for text in texts]
    )
    (line,) = find_warnings(path, tokenizer=WORDS)
    assert "100% of the words of val are not in the vocabulary of train, and 16 of 16 texts have no other" in line
    assert (
        f"without blanks between words (Han), which this `tokenizer` does not split: set `tokenizer` to {ANY}" in line
    )
    assert find_warnings(path, tokenizer=ANY) == []


def test_other_causes_are_named_too(tmp_path: Path, reviews: Path) -> None:
    assert find_warnings(reviews) == []
    few = write_csv(tmp_path / "few.csv", [(f"word{index} good", "ab"[index % 2]) for index in range(40)])
    (line,) = find_warnings(few, tokenizer=WORDS)
    assert line == (
        "50% of the words of val are not in the vocabulary of train: train has too few texts for them, or "
        f"`tokenizer` does not fit; {ANY} splits texts of any language"
    )
    (line,) = find_warnings(reviews, max_words=4)
    assert "the vocabulary keeps 4 of " in line
    assert "increase `max_words`" in line


def test_texts_without_words_are_not_unknown(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", [("a b", "x"), ("a c", "y")] * 5)
    write_csv(tmp_path / "val.csv", [("\u2060", "x")] * 5 + [("a", "y")])
    assert find_warnings(tmp_path, tokenizer=ANY) == []


def test_notes_of_texts(reviews: Path) -> None:
    data = TextDataModule(str(reviews), tokenizer=WORDS, max_len=3, bucket=True)
    data.setup()
    texts = ["", "xyzzy", "one two three good", "a xyzzy", *(text for text, _ in make_reviews()[:2])]
    notes = data.codec.warn(texts, data.codec.encode(texts))
    assert [bool(note) for note in notes] == [True, True, True, False, False, False], "what is cut off is not known"
    assert "no word of this text is known" in notes[0]


def test_other_codecs_warn_of_nothing() -> None:
    class Lengths(Codec):
        def encode(self, samples: object) -> torch.Tensor:
            return torch.zeros(1)

        decode = encode  # type: ignore[assignment]

    assert Lengths().warn(["a", "b"], torch.zeros(2, 1)) == ["", ""]


@pytest.mark.parametrize("words_checked", [1, 20, 10**6])
def test_the_first_texts_of_val_are_enough(tmp_path: Path, words_checked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightfit.datamodules.text.unknown.WORDS_CHECKED", words_checked)
    few = write_csv(tmp_path / "few.csv", [(f"word{index} good", "ab"[index % 2]) for index in range(40)])
    (line,) = find_warnings(few, tokenizer=WORDS)
    assert line.startswith("50% of the words of val")
