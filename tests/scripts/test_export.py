"""The command export.py, and the examples that run exported files without LightFit."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from conftest import make_series
from packaging.requirements import Requirement
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn

from lightfit.datamodules import DataError, ImageCodec
from lightfit.datamodules.images.pixels.pixel_format import PixelFormat
from lightfit.datamodules.targets import Classes
from lightfit.lightning_modules import LightModel
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.export import main
from lightfit.scripts.exporting.agreement import Agreement
from lightfit.scripts.exporting.example import IMAGES
from lightfit.scripts.exporting.formats import to_onnx, trace
from lightfit.scripts.exporting.odd_images import make_odd_images, make_picture
from lightfit.scripts.exporting.odd_texts import make_odd_texts
from lightfit.scripts.inference.trained import load_trained
from lightfit.scripts.predict import main as predict

Trained = Callable[[str], str]
SCRIPTS = TASKS.parent / "scripts"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["text", "images", "series"])
@pytest.mark.parametrize("file_format", ["onnx", "pt2", "safetensors"])
def test_formats(task: str, file_format: str, trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained(task)
    capsys.readouterr()
    assert main([checkpoint, "--format", file_format]) == 0
    out = capsys.readouterr().out
    path = Path(f"runs/{task}/version_0/model.{file_format}")
    found = re.search(r"largest difference to the checkpoint's predictions: (\S+), on (\d+) samples of val", out)
    assert found is not None
    assert float(found[1]) <= 1e-4
    assert f"written: {path}" in out
    assert not list(path.parent.glob(".*.part.*"))
    assert metadata(path)["domain"] == task
    assert main([checkpoint, "--format", file_format]) == 2
    assert "already exists" in capsys.readouterr().err
    assert main([checkpoint, "--format", file_format, "--overwrite"]) == 0


def metadata(path: Path) -> dict[str, object]:
    if path.suffix == ".onnx":
        return json.loads(onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["lightfit"])
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["lightfit"])
    held = {"lightfit.json": ""}
    torch.export.load(path, extra_files=held)
    return json.loads(held["lightfit.json"])


INPUTS = {
    "text": ["a good film", "dreadful, number7 and\tpoor", "a film"],
    "images": ["images/bright/03.png", "images/dark/11.png"],
    "series": ["series.csv"],
}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["text", "images", "series"])
def test_examples_agree_with_predict(task: str, trained: Trained) -> None:
    checkpoint = trained(task)
    assert main([checkpoint, "--format", "onnx", "-o", "model.onnx"]) == 0
    assert predict([checkpoint, *INPUTS[task], "-o", "out.csv"]) == 0
    command = [sys.executable, str(SCRIPTS / "examples" / f"onnx_{task}.py"), "model.onnx", *INPUTS[task]]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    table = pd.read_csv("out.csv")
    if task == "series":
        assert [float(line.split()[2]) for line in lines] == pytest.approx(table["load"].tolist(), abs=1e-3)
        return
    assert [line.split()[0] for line in lines] == table["label"].tolist()
    assert [float(line.split()[1]) for line in lines] == pytest.approx(table["probability"].tolist(), abs=1e-4)


def save_odd_images() -> list[str]:
    """Write the same picture in four ways, two of them colours and two grey."""
    colours = make_picture(40, 56)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours).save("plain.png")
    Image.fromarray(np.rot90(colours)).save("exif6.png", exif=exif)
    Image.fromarray(colours[..., 0]).save("g8.png")
    Image.fromarray(colours[..., 0].astype(np.uint16) * 257).save("g16.png")
    return ["plain.png", "exif6.png", "g8.png", "g16.png"]


@pytest.mark.slow
def test_the_example_of_images_turns_by_exif_and_takes_16_bits(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, paths = trained("images"), save_odd_images()
    assert predict([checkpoint, *paths, "-o", "out.csv"]) == 0
    table = pd.read_csv("out.csv")
    assert table["probability"][0] == table["probability"][1]
    assert table["probability"][2] == table["probability"][3]
    capsys.readouterr()
    assert main([checkpoint, "--format", "onnx", "-o", "model.onnx"]) == 0
    out = capsys.readouterr().out
    found = re.search(
        r"onnx_images.py on (\d+) odd images \((.*)\): pixels differ by up to ([0-3]) of 255, predict", out
    )
    assert found is not None
    assert {"exif6.jpg", "16_bits.png", "grey.png", "alpha.png", "cmyk.tif"} <= set(found[2].split(", "))
    onnx_images = runpy.run_path(str(IMAGES))["main"]
    onnx_images("model.onnx", *paths)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == table["label"].tolist()
    assert lines[0][:2] == lines[1][:2]
    assert lines[2][:2] == lines[3][:2]
    assert [float(line[1]) for line in lines] == pytest.approx(table["probability"].tolist(), abs=1e-3)
    # A program that forgets a step fails the export.
    source = IMAGES.read_text()
    assert "ImageOps.exif_transpose(file)" in source
    Path("other.py").write_text(source.replace("ImageOps.exif_transpose(file)", "file.copy()"))
    monkeypatch.setattr("lightfit.scripts.exporting.example.IMAGES", Path("other.py"))
    assert main([checkpoint, "--format", "onnx", "-o", "again.onnx"]) == 1
    said = capsys.readouterr().err
    assert re.search(
        r"other.py prepares images in another way than the checkpoint: on 'exif6.*pixels differ by up", said
    )
    assert "expected at most 3; predictions differ by up to" in said
    assert not Path("again.onnx").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"border": 1.143},
        {"border": 1.143, "kept_side": 64, "interpolation": "bicubic"},
        {"resize": "pad", "channels": 1, "intensity": {"uint16": (0, 4095)}},
        {"resize": "pad", "background": (10, 200, 3), "kept_side": 50},
        {"resize": "squish", "channels": 4},
        {"resize": "pad", "channels": 6},
        {"background": None, "border": 1.5},
    ],
)
def test_the_example_of_images_does_all_that_the_codec_does(options: dict[str, Any]) -> None:
    own = {name: options.pop(name) for name in ("channels", "background", "intensity") if name in options}
    channels = own.get("channels", 3)
    codec = ImageCodec(
        target=Classes(["a", "b"]),
        image_size=(28, 40),
        mean=(0.4,) * channels,
        std=(0.25,) * channels,
        form=PixelFormat(**own),
        **{"border": 1.0, **options},
    )
    known, differences = json.loads(json.dumps(codec.metadata())), {}
    prepare = runpy.run_path(str(IMAGES))["prepare"]
    for path in make_odd_images(Path(), codec):
        try:
            expected = codec.encode([path])[0].numpy()
        except DataError:
            with pytest.raises(ValueError, match="channels, expected"):
                prepare(str(path), known)
            continue
        differences[path.name] = float(np.abs(prepare(str(path), known) - expected).max() * 0.25 * 255)
    assert len(differences) >= (2 if channels == 6 else 14)
    assert max(differences.values()) < 2.5, differences


@pytest.mark.slow
def test_text_example_knows_all_ngrams(fit: Callable[..., tuple[int, str, str]], reviews: Path) -> None:
    kinds = ("--data.ngrams", 4), ("--data.ngrams", 1, "--data.char_ngrams", 3), ("--data.max_ngrams", 20)
    for index, options in enumerate(kinds):
        code, _, err = fit(
            "--task", "text", "--data.source", "reviews.csv", *options, "--trainer.max_epochs", 3, "--quiet"
        )
        assert code == 0, err
        checkpoint = str(max(Path("runs/text").glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime))
        assert main([checkpoint, "--format", "onnx", "-o", f"{index}.onnx"]) == 0
        texts = [
            "a good film and a bad film, good film",
            "dreadfully unknown",
            *pd.read_csv("reviews.csv").text[:5],
        ]
        assert predict([checkpoint, *texts, "-o", f"{index}.csv"]) in (0, 1)
        command = [sys.executable, str(SCRIPTS / "examples" / "onnx_text.py"), f"{index}.onnx", *texts]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        expected = pd.read_csv(f"{index}.csv")["probability"].tolist()
        assert [float(line.split()[1]) for line in lines] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("task", ["text", "images", "series"])
def test_examples_are_short_and_do_not_import_lightfit(task: str) -> None:
    source = (SCRIPTS / "examples" / f"onnx_{task}.py").read_text()
    assert (
        len([line for line in source.splitlines() if line.strip()]) <= {"text": 78, "images": 105, "series": 130}[task]
    )
    names = {
        (node.names[0].name if isinstance(node, ast.Import) else str(node.module)).split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names - sys.stdlib_module_names <= {"numpy", "onnxruntime", "PIL"}


@pytest.mark.slow
def test_series_with_all_kinds_of_columns(
    fit: Callable[..., tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Use differencing, past columns and known columns, which the example must handle."""
    table = make_series(260).assign(hour=lambda t: t["date"].dt.hour)
    table.head(240).to_csv("train.csv", index=False)
    table.loc[240:, ["load", "wind"]] = float("nan")
    table.to_csv("ahead.csv", index=False)
    columns = ("--data.columns.past", "[wind]", "--data.columns.known", "[hour]", "--data.diff", 1, "--data.horizon", 6)
    net = ("--model.net.candidates", "[ridge, last value]")
    code, _, err = fit(
        "--task", "series", "--data.path", "train.csv", "--data.target", "load", *columns, *net, "--quiet"
    )
    assert code == 0, err
    checkpoint = "runs/series/version_0/checkpoints/last.ckpt"
    assert main([checkpoint, "--format", "onnx", "-o", "model.onnx"]) == 0
    assert predict([checkpoint, "ahead.csv", "-o", "out.csv"]) == 0
    command = [sys.executable, str(SCRIPTS / "examples" / "onnx_series.py"), "model.onnx", "ahead.csv"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [float(line.split()[2]) for line in lines] == pytest.approx(pd.read_csv("out.csv")["load"], abs=1e-3)


@pytest.mark.slow
def test_a_recursion_is_no_graph(fit: Callable[..., tuple[int, str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    make_series(120).to_csv("series.csv", index=False)
    code, _, err = fit(
        *("--task", "series", "--data.path", "series.csv", "--data.target", "load", "--quiet"),
        *("--model.net.candidates", "[theta]"),
    )
    assert code == 0, err
    assert main(["runs/series/version_0/checkpoints/last.ckpt", "--format", "onnx", "-o", "model.onnx"]) == 1
    assert "ForecastCombination cannot be exported: it combines theta, whose recursions" in capsys.readouterr().err
    assert not Path("model.onnx").exists()
    assert main(["runs/series/version_0/checkpoints/last.ckpt", "--format", "safetensors"]) == 0


def test_any_batch_size_and_length(trained: Trained) -> None:
    assert main([trained("text"), "--format", "onnx", "-o", "model.onnx"]) == 0
    session = onnxruntime.InferenceSession("model.onnx")
    for shape in ((1, 1), (5, 3), (2, 300)):
        (y,) = session.run(None, {"x": torch.ones(shape, dtype=torch.int64).numpy()})
        assert y.shape == (shape[0], 2)


@pytest.mark.slow
def test_without_the_data(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("text")
    Path("reviews.csv").unlink()
    capsys.readouterr()
    assert main([checkpoint, "--format", "pt2"]) == 0
    assert "comparing on a dummy batch of two samples; set --input for others" in capsys.readouterr().out
    assert main([checkpoint, "--format", "onnx", "--input", "a good film", "bad"]) == 0
    assert "on 2 samples of a good film, bad" in capsys.readouterr().out


class Branching(nn.Module):
    """Branches on values, which no graph can express."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum().item()) > 0 else -x


class Eigen(nn.Module):
    """Can be exported, but not to ONNX, which lacks the operation."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x @ x.mT).real


class Model(LightModel):
    def predict_step(self, batch: Tensor, batch_idx: int = 0) -> Tensor:
        return self(batch)


def test_what_cannot_be_exported_is_named() -> None:
    with pytest.raises(ValueError, match=r"Branching cannot be exported: .*test_export.py line \d+: return x if"):
        trace(Model(Branching()), torch.randn(2, 3, 3))
    trace(Model(Eigen()), torch.randn(2, 3, 3))
    with pytest.raises(ValueError, match=r"Eigen cannot be exported to ONNX: the operation aten.linalg_eig"):
        to_onnx(Model(Eigen()), torch.randn(2, 3, 3))


def test_what_goes_wrong(trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = trained("text")
    capsys.readouterr()
    for args, code, problem in (
        ([checkpoint, "--format", "onnx", "-o", "model.bin"], 2, "--output to end in .onnx"),
        (["nope.ckpt", "--format", "onnx"], 2, "no checkpoint at 'nope.ckpt'"),
        ([checkpoint, "--format", "pt2", "-o", "no/a.pt2"], 2, "no folder"),
    ):
        assert main(args) == code
        assert problem in capsys.readouterr().err
    held = torch.load(checkpoint, weights_only=True)
    held["hyper_parameters"]["net"] = {"class_path": "their_package.Net", "init_args": {}}
    torch.save(held, "theirs.ckpt")
    assert main(["theirs.ckpt", "--format", "onnx", "-o", "theirs.onnx"]) == 1
    assert re.search(r"their_package.*--trust their_package", capsys.readouterr().err)
    assert not list(Path().glob("*theirs.onnx"))
    monkeypatch.setattr("lightfit.scripts.exporting.writing.compare", lambda *args, **more: Agreement(0.5))
    assert main([checkpoint, "--format", "safetensors", "-o", "a.safetensors"]) == 1
    assert "differ from the checkpoint's by up to 0.5" in capsys.readouterr().err
    assert not list(Path().glob("*a.safetensors"))


def link_packages(names: list[str], folder: Path) -> None:
    """Link packages, and what they require, into a folder: all that a program there can import."""
    waiting, linked = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in linked:
            continue
        linked.add(name)
        found = distribution(name)
        own = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        for part in own:
            if not (folder / part).exists():
                (folder / part).symlink_to(Path(str(found.locate_file(part))))
        needed = [Requirement(line) for line in found.requires or ()]
        waiting += [item.name for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["text", "images", "series"])
def test_a_bundle_runs_as_it_is(task: str, trained: Trained) -> None:
    checkpoint, inputs = trained(task), INPUTS[task]
    assert main([checkpoint, "--format", "bundle", "-o", "bundle"]) == 0
    folder = Path("bundle")
    program = f"onnx_{task}.py"
    assert {path.name for path in folder.iterdir()} == {
        *("model.onnx", program, "requirements.txt", "Dockerfile", "README.md")
    }
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~umask()}
    named = dict(line.split("==") for line in (folder / "requirements.txt").read_text().splitlines())
    assert all(version(name) == number for name, number in named.items())
    readme, docker = (folder / "README.md").read_text(), (folder / "Dockerfile").read_text()
    (command,) = re.findall(r"^python (.*)$", readme, re.MULTILINE)
    assert command.split()[:2] == [program, "model.onnx"]
    assert f'ENTRYPOINT ["python", "{program}", "model.onnx"]' in docker
    Path("packages").mkdir()
    link_packages(list(named), Path("packages"))
    run = subprocess.run(  # -S: nothing else that is installed here
        [
            sys.executable,
            "-S",
            *command.split()[:2],
            *(str(Path(name).absolute()) if Path(name).exists() else name for name in inputs),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path("packages").absolute()), "PATH": ""},
    )
    assert run.returncode == 0, run.stderr
    assert predict([checkpoint, *inputs, "-o", "out.csv"]) == 0
    table, lines = pd.read_csv("out.csv"), run.stdout.splitlines()
    if task == "series":
        assert [float(line.split()[2]) for line in lines] == pytest.approx(table["load"].tolist(), abs=1e-3)
    else:
        assert [line.split()[0] for line in lines] == table["label"].tolist()
    before = (folder / "model.onnx").read_bytes()
    assert (
        main([checkpoint, "--format", "bundle", "-o", "bundle", "--quantize", "int8", "--max_drop", "1", "--overwrite"])
        == 0
    )
    assert (folder / "model.onnx").read_bytes() != before
    assert "int8" in (folder / "README.md").read_text()
    assert not list(Path().glob("*.part*"))


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


@pytest.mark.slow
def test_the_program_of_texts_predicts_odd_texts_alike(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = trained("words")
    assert main([checkpoint, "--format", "onnx", "-o", "model.onnx"]) == 0
    known = load_trained(checkpoint)
    texts = [
        text for name, text in make_odd_texts(known.codec.vocabulary.itos[2:40]).items() if name != "one half of a pair"
    ]
    pd.DataFrame({"text": texts}).to_csv("odd.csv", index=False)
    with torch.inference_mode():
        expected = known.model.predict_step(known.codec.encode(texts), 0).amax(1)
    capsys.readouterr()
    runpy.run_path(str(SCRIPTS / "examples" / "onnx_text.py"))["main"]("model.onnx", *texts)
    found = re.findall(r"^(?:pos|neg) ([01]\.\d{6}) ?", capsys.readouterr().out, re.MULTILINE)
    assert [float(value) for value in found] == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.slow
def test_a_program_of_texts_that_forgets_a_step_fails_the_export(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = trained("text")
    source = (SCRIPTS / "examples" / "onnx_text.py").read_text()
    assert "html.unescape" in source
    Path("other.py").write_text(source.replace("html.unescape", "str"))
    monkeypatch.setattr("lightfit.scripts.exporting.example.TEXT", Path("other.py"))
    capsys.readouterr()
    assert main([checkpoint, "--format", "onnx", "-o", "model.onnx"]) == 1
    said = capsys.readouterr().err
    assert re.search(
        r"other.py prepares texts in another way than the checkpoint: on 'escaped letters', .* ids differ", said
    )
    assert not Path("model.onnx").exists()
