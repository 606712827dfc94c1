"""The command predict.py, from a checkpoint only."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import write_csv

from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.rows import predict_rows
from lightfit.scripts.inference.trained import load_trained
from lightfit.scripts.predict import estimate, main

Fit = Callable[..., tuple[int, str, str]]
Predict = Callable[..., tuple[int, str, str]]
TEXTS = ["a good film", "a bad film", "a lovely great film", "dreadful", "fine"]
LABELS = ["pos", "neg", "pos", "neg", "pos"]


@pytest.fixture
def predict(trained: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Return the command on the checkpoint of a trained run, in a folder without the other files of the run."""
    checkpoint = Path(trained("text")).rename(tmp_path / "moved.ckpt")
    Path("reviews.csv").unlink()
    capsys.readouterr()

    def run(*args: object) -> tuple[int, str, str]:
        code = main([str(checkpoint), *map(str, args)])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def test_texts_on_the_line(predict: Predict) -> None:
    code, out, err = predict(*TEXTS)
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=3) for line in out.splitlines()[1:]]
    assert [row[1] for row in rows] == LABELS
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row[3] for row in rows] == TEXTS
    assert all(0.5 < float(row[2]) <= 1 for row in rows)


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_a_text_without_a_known_word_says_so_in_its_row(predict: Predict, batch_size: int) -> None:
    code, _, err = predict("good film", "xyzzy", "", *TEXTS[:2], "-o", "out.csv", "--batch_size", batch_size)
    assert (code, err[:31]) == (1, "error: 1 of 5 inputs could not ")
    table = pd.read_csv("out.csv", keep_default_na=False)
    assert list(table) == ["row", "label", "probability", "input", "warning", "error"]
    assert table["input"].tolist() == ["good film", "xyzzy", "", *TEXTS[:2]]
    assert table["row"].tolist() == [1, 2, 3, 4, 5]
    assert [note[:23] for note in table["warning"]] == ["", "no word of this text is", "", "", ""]
    assert [bool(error) for error in table["error"]] == [False, False, True, False, False]
    code, out, _ = predict("xyzzy")
    assert code == 0
    assert "no word of this text is known" in out


def test_every_kind_of_input_returns_the_same_rows(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.txt").write_text("\n".join(TEXTS) + "\n")
    write_csv(Path("b.csv"), [(text, "?") for text in TEXTS], header=("review", "other"))
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(TEXTS)))
    for index, args in enumerate([TEXTS, ["a.txt"], ["b.csv", "--column", "review"], ["-"]]):
        code, out, err = predict(*args, "-o", f"{index}.csv", "--batch_size", index + 1)
        assert (code, err) == (0, "")
        assert out == f"5 rows in {index}.csv\n"
    tables = [pd.read_csv(f"{index}.csv") for index in range(4)]
    assert list(tables[0]) == ["row", "label", "probability", "input", "error"]
    assert tables[0]["label"].tolist() == LABELS
    assert tables[0]["input"].tolist() == TEXTS
    for table, file in zip(tables[1:], ["a.txt", "b.csv", "-"], strict=True):
        assert table.pop("file").tolist() == [file] * 5
        pd.testing.assert_frame_equal(table, tables[0])


def test_column_by_position(predict: Predict) -> None:
    write_csv(Path("b.csv"), [("?", text) for text in TEXTS], header=None)
    code, out, _ = predict("b.csv", "--column", "1")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[1:]] == LABELS


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (["nope.csv"], 2, "no file at 'nope.csv'"),
        (["b.csv"], 2, "'b.csv' has no column 'text'; it has: review. .*--column"),
        (["a", "--gpus", "99"], 2, "--gpus 99 asks for a GPU"),
        (["a", "-o", "no/out.csv"], 2, "no folder '.*no' to write 'out.csv' into"),
        (["a", "--batch_size", "0"], 2, "--batch_size of at least 1, received 0"),
        (["a", "--top", "3"], 2, "--top from 1 to 2, the number of classes, received 3"),
        (["a", "-o", "b.csv"], 2, "'b.csv' already exists: .*--overwrite"),
        (["a", "-o", "b.txt"], 2, "--output to end in .csv"),
        (["empty.txt"], 1, "'empty.txt' is empty"),
        (["b.csv", "--column", "nope"], 2, "no column 'nope'"),
    ],
)
def test_what_goes_wrong(args: list[str], code: int, problem: str, predict: Predict) -> None:
    Path("empty.txt").touch()
    write_csv(Path("b.csv"), [("good",)], header=("review",))  # type: ignore[list-item]
    received, out, err = predict(*args)
    assert received == code
    assert pd.Series([err]).str.contains(problem).all(), err
    assert out == ""


BAD_INPUTS = {
    "a.txt": (b"good\n\nbad\ncaf\xe9\n", {2: "a.txt, line 2: the text is empty", 4: "line 4: not UTF-8 .byte 0xe9"}),
    "a.csv": (
        b'text,n\n,1\n"good, fine",1\nbad\n"b" c,2\nfine,2\n',
        {1: "line 2: the text", 3: "line 4: expected 2", 4: "5"},
    ),
    "a.jsonl": (b'7\n{"text"\n{"text": "good"}\n', {1: "line 1: expected an object", 2: "line 2: not JSON"}),
}


@pytest.mark.parametrize("batch_size", [1, 2, 100])
@pytest.mark.parametrize("name", BAD_INPUTS)
def test_a_bad_input_is_a_row(name: str, batch_size: int, predict: Predict) -> None:
    content, expected = BAD_INPUTS[name]
    Path(name).write_bytes(content)
    code, out, err = predict(name, "-o", "out.csv", "--batch_size", batch_size)
    table = pd.read_csv("out.csv").set_index("row")
    assert code == 1
    assert f"{len(expected)} of {len(table)} inputs could not be predicted" in err
    assert table.index.tolist() == list(range(1, len(table) + 1))
    assert set(table.index[table["error"].notna()]) == set(expected)
    for row, problem in expected.items():
        assert pd.Series([table.loc[row, "error"]]).str.contains(problem).all()
    assert table["label"].notna().equals(table["error"].isna())
    assert out == f"{len(table)} rows in out.csv\n"


def test_top_names_several_classes(predict: Predict) -> None:
    assert predict("good", "bad", "--top", 2, "-o", "out.csv")[0] == 0
    table = pd.read_csv("out.csv")
    assert list(table) == ["row", "label", "probability", "label_2", "probability_2", "input", "error"]
    assert table["label_2"].tolist() == ["neg", "pos"]
    assert (table["probability"] + table["probability_2"]).round(4).tolist() == [1, 1]


def test_a_folder_of_texts(predict: Predict) -> None:
    Path("texts/deep").mkdir(parents=True)
    Path("texts/a.txt").write_text("a good film\nin two lines")
    Path("texts/deep/b.txt").write_text("bad")
    assert predict("texts", "-o", "out.csv")[0] == 0
    assert pd.read_csv("out.csv")["label"].tolist() == ["pos", "neg"]


def test_a_stream_is_never_read_at_once(predict: Predict) -> None:
    """Read only a few batches of a million lines before the first is predicted."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for taken in range(1, 1_000_001):  # noqa: B007
            yield "good"

    trained = load_trained("moved.ckpt")
    predictor = Predictor(trained.model, trained.codec, [torch.device("cpu")] * 2)
    rows = predict_rows(predictor, lines(), batch_size=10)
    tables = [next(rows) for _ in range(3)]
    assert [table["row"].tolist() for table, _, _ in tables] == [list(range(n, n + 10)) for n in (1, 11, 21)]
    assert taken <= 60
    rows.close()


def test_estimate_of_the_number_of_inputs() -> None:
    Path("a.txt").write_text("one\ntwo\n")
    Path("folder").mkdir()
    Path("folder/a.png").touch()
    assert estimate(["a text", "a.txt", "folder"]) == 1 + 2 + 1
    assert estimate(["a.txt", "-"]) is None


def test_replicas_predict_as_one(predict: Predict) -> None:
    trained = load_trained("moved.ckpt")
    texts = [f"a {word} film" for word in ("good", "bad", "fine", "poor")] * 25

    def predict_on(num_replicas: int) -> pd.DataFrame:
        predictor = Predictor(trained.model, trained.codec, [torch.device("cpu")] * num_replicas)
        return pd.concat([table for table, _, _ in predict_rows(predictor, texts, batch_size=7)])

    one, three = predict_on(1), predict_on(3)
    pd.testing.assert_frame_equal(one, three)


def test_a_failed_run_leaves_no_output(predict: Predict) -> None:
    Path("out.csv").write_text("kept")
    write_csv(Path("b.csv"), [("good",)], header=("review",))  # type: ignore[list-item]
    assert predict("good", "b.csv", "-o", "out.csv", "--overwrite")[0] == 2
    assert Path("out.csv").read_text() == "kept"
    assert predict("good", "-o", "out.csv", "--overwrite")[0] == 0
    assert not list(Path().glob(".*.part.*"))


def test_images(fit: Fit, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit("--task", "images", "--data.root", "images", "--quiet", "--data.num_workers", 0, "--trainer.max_epochs", 12)
    (tmp_path / "runs/images/version_0/checkpoints/last.ckpt").rename("moved.ckpt")
    images.rename("elsewhere")
    capsys.readouterr()
    assert main(["moved.ckpt", "elsewhere", "elsewhere/dark/03.png", "-o", "out.csv"]) == 0
    assert capsys.readouterr().out == "41 rows in out.csv\n"
    table = pd.read_csv("out.csv")
    assert list(table) == ["row", "label", "probability", "file", "error"]
    assert table["file"].iloc[[0, 20, 40]].tolist() == [
        "elsewhere/bright/00.png",
        "elsewhere/dark/00.png",
        "elsewhere/dark/03.png",
    ]
    assert (table["label"] == table["file"].str.split("/").str[1]).mean() > 0.9
    assert main(["moved.ckpt", "elsewhere/dark/03.png"]) == 0
    assert capsys.readouterr().out.split()[-1] == "elsewhere/dark/03.png"
    Path("bad.jpg").write_bytes(b"no image")
    for args, code, problem in (
        (["nope.png"], 2, "no image or folder at 'nope.png'"),
        (["elsewhere", "--top", "3"], 2, "--top from 1 to 2"),
        (
            ["bad.jpg"],
            1,
            "bad.jpg: not an image, or cut off: expected .jpg, .png or the like, received a file that begins",
        ),
        (["elsewhere", "--column", "a"], 2, "images have no columns"),
    ):
        assert main(["moved.ckpt", *args]) == code
        assert problem in capsys.readouterr().err


def test_names_of_images_on_standard_input(
    trained: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained("images")
    Path("bad.jpg").write_bytes(b"")
    monkeypatch.setattr("sys.stdin", io.StringIO("images/dark/00.png\nnope.png\nbad.jpg\nimages/dark/01.png\n"))
    assert main([checkpoint, "-", "-o", "out.csv"]) == 1
    assert "2 of 4 inputs" in capsys.readouterr().err
    table = pd.read_csv("out.csv")
    assert table["file"].tolist() == ["images/dark/00.png", "nope.png", "bad.jpg", "images/dark/01.png"]
    assert "no file at 'nope.png'" in table["error"][1]
    assert "bad.jpg: the file is empty" in table["error"][2]


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ({"lightfit": {"version": "9.1.0", "format": 9}}, r"LightFit 9\.1\.0 .*format 9.*this is LightFit 0"),
        (
            {
                "lightfit": {"version": "0.0.7", "format": 1},
                "TextDataModule": {"codec": {"class_path": "lightfit.GoneCodec", "state": {}}},
            },
            r"codec cannot be built here: .*GoneCodec.*written by LightFit 0\.0\.7, and this is 0",
        ),
    ],
)
def test_checkpoint_of_another_version(
    held: dict[str, object], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {}} | held, "a.ckpt")
    assert main(["a.ckpt", "text"]) == 1
    assert pd.Series([capsys.readouterr().err]).str.contains(problem).all()


def test_checkpoint_of_a_model_trained_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": {"lr": 0.1}}, "a.ckpt")
    assert main(["a.ckpt", "text"]) == 1
    assert "the checkpoint has no codec, so raw inputs cannot be encoded" in capsys.readouterr().err


def test_checkpoint_of_another_projects_data(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {}, "Data": {"codec": {"class_path": "elsewhere.Codec", "state": {}}}}, "a.ckpt")
    assert main(["a.ckpt", "text"]) == 1
    err = capsys.readouterr().err
    assert "the checkpoint names classes of 'elsewhere'" in err
    assert len(err.splitlines()) == 1


def test_checkpoint_of_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.ckpt").write_bytes(b"no checkpoint")
    assert main(["a.ckpt", "text"]) == 1
    assert main(["b.ckpt", "text"]) == 2
    err = capsys.readouterr().err
    assert "'a.ckpt' cannot be" in err
    assert "no checkpoint at 'b.ckpt'; there are: a.ckpt" in err


def test_a_file_that_exists_is_a_file(predict: Predict) -> None:
    """Tables of other formats, without an ending, or compressed, are read; the name of a file is never a text."""
    table = pd.DataFrame({"n": range(5), "Text": TEXTS})
    table.to_parquet("a.parquet")
    table.to_csv("good", index=False, sep="\t")
    table.to_json("a.json.gz", orient="records")
    Path("ft.txt").write_text("".join(f"__label__x {text}\n" for text in TEXTS))
    Path("lines.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    Path("tabs.txt").write_text("".join(f"x\t{text}\n" for text in TEXTS))
    for name in ("a.parquet", "good", "a.json.gz", "ft.txt", "lines.txt", "tabs.txt"):
        assert predict(name, "-o", "out.csv", "--overwrite") == (0, "5 rows in out.csv\n", "")
        assert pd.read_csv("out.csv")["label"].tolist() == LABELS


@pytest.mark.parametrize(
    ("name", "content", "code", "problem"),
    [
        ("bad", b"%PDF-1.4 ...", 2, "'bad' is a PDF, which is not read; expected .*.csv.*.parquet.*.xlsx"),
        ("a.parquet", b"PAR1\n", 1, "'a.parquet' cannot be read .*damaged"),
        ("a.csv.gz", b"\x1f\x8b\x08", 1, "'a.csv.gz' is damaged or cut off"),
        ("a.bin", bytes(range(256)) * 9, 1, "'a.bin' is not a text|is not UTF-8"),
        ("a.csv", "text\ntrès bon, déjà vu\n".encode("cp1252") * 3, 1, "encoding is not sure.*set --encoding"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(
    name: str, content: bytes, code: int, problem: str, predict: Predict
) -> None:
    Path(name).write_bytes(content)
    received, out, err = predict("good", name)
    assert (received, out) == (code, "")
    assert pd.Series([err]).str.contains(problem).all(), err


def test_options_of_tables(predict: Predict) -> None:
    Path("a.csv").write_bytes(f"text;n\ntrès, {TEXTS[0]};1\n".encode("cp1252") * 1)
    assert predict("a.csv", "--encoding", "cp1252", "--delimiter", ";", "-o", "out.csv")[0] == 0
    assert pd.read_csv("out.csv")["label"].tolist() == ["pos"]
    code, _, err = predict("a.csv", "--delimiter", "::")
    assert code == 2
    assert "expected --delimiter as one character" in err
