"""Malicious input: none of it is executed, and none fills the memory or the disk."""

import io
import os
import pickle
import resource
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fuzzing
import pandas as pd
import pytest
import torch
import yaml
from conftest import make_images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lightfit.datamodules import DataModule, TextDataModule
from lightfit.datamodules.series.frame import frame_of_text
from lightfit.datamodules.tables.content import open_bytes
from lightfit.datamodules.tables.reader import open_table
from lightfit.download import extract
from lightfit.errors import DataError
from lightfit.lightning_modules import LightModel
from lightfit.scripts.cli.keys import flatten_keys
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.predict import main as predict
from lightfit.scripts.training.options import UsageError, parse_interval
from lightfit.trust import check_trusted

Fit = Callable[..., tuple[int, str, str]]
EVIL = """
from pathlib import Path
Path("it-ran").touch()
from lightning_modules import LightModel
from datamodules import TextDataModule
class Model(LightModel): pass
class Data(TextDataModule): pass
def build(*args): pass
"""


class Runs:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("it-ran"),)


@pytest.fixture
def evil(monkeypatch: pytest.MonkeyPatch, workplace: Path) -> Path:
    """Write a module that creates a file when it is imported; return the path of that file."""
    Path("evil.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(workplace))
    return Path("it-ran")


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_does_not_run(protocol: int, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = {"state_dict": {}, "hyper_parameters": {"_class_path": Runs()}, "callbacks": Runs()}
    torch.save(checkpoint, "zip.ckpt", pickle_protocol=protocol)
    Path("plain.ckpt").write_bytes(pickle.dumps(checkpoint, protocol=protocol))
    torch.save(checkpoint, "old.ckpt", _use_new_zipfile_serialization=False)
    for name in ("zip.ckpt", "plain.ckpt", "old.ckpt"):
        with pytest.raises(ValueError, match="cannot be (loaded|read)"):
            LightModel.load(name)
        with pytest.raises((ValueError, pickle.UnpicklingError)):
            LightModel.load_from_checkpoint(name)
        assert predict([name, "a text"]) == 1
    assert not Path("it-ran").exists()
    assert "pickled code, which is never run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "hparams",
    [
        {"_class_path": "evil.Model"},
        {"_class_path": "lightfit.LightModel", "net": {"class_path": "evil.Model", "init_args": {}}},
        {
            "_class_path": "lightfit.LightModel",
            "net": {"init_args": {"layers": [{"class_path": "evil.Data"}]}},
        },
        {"_class_path": "lightfit.LightModel", "_instantiator": "evil.build"},
        {"_class_path": "lightfit.LightModel", "_instantiator": "torch.hub.load"},
        {"_instantiator": "evil.build"},
    ],
)
def test_classes_that_a_checkpoint_names_are_not_imported(hparams: dict[str, Any], evil: Path) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": hparams, "datamodule_hyper_parameters": hparams}, "a.ckpt")
    for load in (LightModel.load, LightModel.load_from_checkpoint, DataModule.load_from_checkpoint):
        with pytest.raises(ValueError, match="nothing was run|not describe how its net|not name its DataModule"):
            load("a.ckpt")
    with pytest.raises(ValueError, match="nothing was run|does not name its DataModule"):
        DataModule.from_checkpoint(torch.load("a.ckpt", weights_only=True))
    assert predict(["a.ckpt", "a text"]) == 1
    assert not evil.exists()


def test_trusted_classes_are_built(evil: Path) -> None:
    with pytest.raises(ValueError, match=r"names classes of 'evil'.*--trust evil \(in Python: trust=\('evil',\)\)"):
        check_trusted({"_class_path": "evil.Model"}, ["evi", "evil_too"])
    check_trusted({"_class_path": "evil.Model"}, ["evil"])
    assert not evil.exists()


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open("a.tar.gz", "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return Path("a.tar.gz")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "a.txt", "../../x"])
def test_links_and_devices_in_archives_are_refused(kind: bytes, target: str) -> None:
    link = tarfile.TarInfo("aclImdb/link")
    link.type, link.linkname = kind, target
    archive = archive_of((tarfile.TarInfo("aclImdb/a.txt"), b"fine"), (link, b""))
    with pytest.raises(DataError, match="is refused"):
        extract(archive, Path(), member="aclImdb")
    assert not Path("aclImdb").exists()
    assert not Path("aclImdb.part").exists()


def test_an_archive_that_expands_ten_thousandfold_is_refused() -> None:
    archive = archive_of(*((tarfile.TarInfo(f"aclImdb/{index}.txt"), bytes(2_000_000)) for index in range(40)))
    assert 80_000_000 / archive.stat().st_size > 900
    with pytest.raises(DataError, match="100 times its own size"):
        extract(archive, Path(), member="aclImdb")
    assert not Path("aclImdb.part").exists()


def png_bomb(side: int) -> bytes:
    """Return a grey PNG that declares `side` x `side` pixels, in few bytes."""
    Image.new("1", (8, 8)).save(buffer := io.BytesIO(), "PNG")
    good = buffer.getvalue()
    header = good[16:24]
    damaged = good.replace(header, side.to_bytes(4, "big") * 2, 1)
    start = damaged.index(b"IHDR")
    crc = zlib.crc32(damaged[start : start + 17]).to_bytes(4, "big")
    return damaged[: start + 17] + crc + damaged[start + 21 :]


@pytest.mark.slow
@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_image_bombs_are_named_and_not_decoded(side: int, fit: Fit) -> None:
    make_images(Path("images"))
    Path("images/dark/bomb.png").write_bytes(png_bomb(side))
    code, _, err = fit("--task", "images", "--data.root", "images", "--quiet")
    assert code == 1
    assert "bomb.png" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_line_of_a_hundred_megabytes(workplace: Path) -> None:
    with Path("long.csv").open("w") as file:
        file.write("text,label\n")
        for _ in range(100):
            file.write("x" * 1_000_000)
        file.write(",pos\nfine,neg\n")
    # Three times the line, plus the memory of the imports; above it the system ends the command.
    script = str(TASKS.parent / "scripts" / "fit.py")
    limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (3_000_000_000, 3_000_000_000))  # noqa: E731
    command = [sys.executable, script, "--task", "text", "--data.source", "long.csv", "--gpus", "0", "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=limit)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert len(run.stderr) < 1000


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch it-ran']", "!!python/name:os.system"])
def test_yaml_that_builds_objects_is_refused(tag: str, fit: Fit, reviews: Path) -> None:
    Path("mine.yaml").write_text(f"model: {tag}\n")
    for args in (("--task", "mine.yaml"), ("--config", "mine.yaml"), ("--task", "text", "--config", "mine.yaml")):
        code, _, err = fit(*args, "--data.source", reviews)
        assert code == 2
        assert err.startswith("error: ")
    code, _, err = fit("--task", "text", "--data.source", reviews, "--model.net", tag)
    assert code == 2
    assert not Path("it-ran").exists()


@pytest.mark.slow
def test_file_names_with_line_ends_and_quotes(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    make_images(Path("images"), names=("bri\nght", "da\"rk, 'and' $(touch it-ran)"))
    for index, image in enumerate(sorted(Path("images").rglob("*.png"))):
        image.rename(image.with_name(f'{index}\n"; touch it-ran;.png'))
    code, out, err = fit(
        "--task", "images", "--data.root", "images", "--quiet", "--trainer.max_epochs", 2, "--trainer.callbacks=null"
    )
    assert (code, err) == (0, "")
    (command,) = [line for line in out.splitlines() if "predict.py" in line][:1]
    checkpoint = next(Path("runs/images/version_0/checkpoints").glob("best*"))
    assert predict([str(checkpoint), "images", "-o", "out.csv"]) == 0
    table = pd.read_csv("out.csv")
    assert len(table) == 40
    assert set(table["prediction" if "prediction" in table else "label"]) <= {
        "bri\nght",
        "da\"rk, 'and' $(touch it-ran)",
    }
    assert "predict.py" in command
    assert not Path("it-ran").exists()


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(st.text(), st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]))
def test_rows_of_any_text(content: str, name: str) -> None:
    with suppress(DataError):
        table = open_table(open_bytes(name, content.encode()), asked=["text"])
        for row in table.rows(range(len(table.columns))):
            assert isinstance(row, DataError) or len(row.cells) == len(table.columns)


@QUICK
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=2, unique=True))
def test_texts_come_back_from_a_table(contents: list[str]) -> None:
    rows = [text for text in contents if text.strip()]
    pd.DataFrame({"text": rows, "label": "x"}).to_csv("t.csv", index=False)
    read = [sample.text for sample in fuzzing.read_path(Path("t.csv"), "text", "label").splits["train"]] if rows else []
    assert read == rows


@QUICK
@given(st.text())
def test_series_of_any_text(content: str) -> None:
    with suppress(DataError):
        assert len(frame_of_text(content, "a.csv").table)


NAMES = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@QUICK
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_configuration_is_the_same_after_yaml(config: dict[str, Any]) -> None:
    again = yaml.safe_load(yaml.safe_dump(config)) or {}
    assert flatten_keys(again) == flatten_keys(config)


@QUICK
@given(st.text(max_size=8))
def test_any_interval_is_parsed_or_refused(text: str) -> None:
    with suppress(UsageError):
        steps, seconds = parse_interval(text)
        assert (steps > 0) != (seconds > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzzing.DECODERS)
def test_damaged_files_are_named_or_read(name: str) -> None:
    assert fuzzing.fuzz(name, 300, seed=os.getpid()) == []


def test_a_path_outside_is_not_read(reviews: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        TextDataModule("../../../../etc/nothing.csv").prepare_data()
