"""Columns of texts and labels: by name, by position, found, joined, and refused."""

import pytest

from lightfit.datamodules.tables.columns import choose_label, choose_text, join_cells
from lightfit.datamodules.tables.content import open_bytes
from lightfit.datamodules.tables.reader import open_table
from lightfit.datamodules.tables.table import Table
from lightfit.errors import DataError


def table(header: str, row: str = "") -> Table:
    """Return a table of a header and one row."""
    row = row or ",".join(f"cell{index}" for index in range(header.count(",") + 1))
    return open_table(open_bytes("a.csv", f"{header}\n{row}\n".encode()))


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        ("text,label", "text", "label"),
        ("id,Review,Sentiment", "Review", "Sentiment"),
        ("label,title,body", "title,body", "label"),
        ("class,title,description", "title,description", "class"),
        ("title,text,y", "text", "y"),
        ("premise,hypothesis,label", "premise,hypothesis", "label"),
        ("Sentence_1,sentence_2,target", "Sentence_1,sentence_2", "target"),
        ("文本,标签", "文本", "标签"),
        ("label,标题", "标题", "label"),
        ("v1,v2", "v2", "v1"),
        ("message,group", "message", "group"),  # the only other column
        ("content,stars,topic", "content", "topic"),
    ],
)
def test_usual_names_are_found(header: str, text: str, label: str) -> None:
    found = table(header)
    chosen = choose_text(found, None)
    assert chosen.column == text
    assert choose_label(found, None, chosen).column == label
    assert choose_text(found, text).positions == chosen.positions  # what was found can be asked for


def test_the_longer_of_two_columns_holds_the_texts() -> None:
    rows = "\n".join(f"a{index},a longer text of number {index}" for index in range(3))
    found = open_table(open_bytes("a.csv", f"k,w\n{rows}\n".encode()))
    text = choose_text(found, None)
    assert (text.column, choose_label(found, None, text).column) == ("w", "k")
    with pytest.raises(LookupError, match="which column holds the texts. It has: k, w. Set `text_column`"):
        choose_text(table("k,w"), None)


def test_names_match_without_case_and_blanks() -> None:
    found = table("\ufeff Text ,LABEL,label 2,Label2")
    assert choose_text(found, "text").positions == [0]
    assert choose_text(found, "Label2").positions == [3]  # the exact one first
    with pytest.raises(DataError, match="has 2 columns 'label2': set `text_column` to the position of one .2 or 3"):
        choose_text(found, "label2")


@pytest.mark.parametrize(
    ("text", "label", "problem"),
    [
        ("txt", None, r"no column 'txt'; it has: text, label, text, other. Set `text_column`"),
        ("other,nope", None, "no column 'nope'"),
        (9, None, "no column '9'"),
        ("text", None, r"2 columns 'text': set `text_column` to the position of one .0 or 2."),
        (
            "label",
            "label",
            "'label' is chosen for the texts and for the labels: correct `text_column` or `label_column`",
        ),
        ("other,label", "label", "chosen for the texts and for the labels"),
        ("other", "lable", r"no column 'lable'.*Set `label_column`"),
    ],
)
def test_columns_that_cannot_be_chosen(text: str | int, label: str | None, problem: str) -> None:
    found = table("text,label,text,other")
    with pytest.raises((LookupError, DataError), match=problem):
        choose_label(found, label, choose_text(found, text))


def test_no_column_of_labels_lists_the_columns() -> None:
    found = table("text,toxic,insult")
    text = choose_text(found, None)
    with pytest.raises(LookupError, match="which column holds the labels. It has: text, toxic, insult"):
        choose_label(found, None, text)
    assert choose_label(found, "toxic,insult", text).positions == [1, 2]


def test_cells_are_joined() -> None:
    assert join_cells(["a title", None, " ", "a body"], pair=False) == "a title a body"
    assert join_cells(["a", "b"], pair=True) == "a xxsep b"
    assert join_cells([None, ""], pair=True) == ""
    with pytest.raises(ValueError, match="one text of the pair is empty"):
        join_cells(["a", ""], pair=True)


def test_a_pair_is_known_by_its_names() -> None:
    found = table("premise,hypothesis,text_a,text_b,title,other")
    assert choose_text(found, "premise,hypothesis").pair
    assert choose_text(found, "text_a,text_b").pair
    assert not choose_text(found, "title,other").pair
