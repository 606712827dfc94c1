"""The example of docs/custom_data.md: a custom raw format, with and without a codec."""

import base64
import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from starlette.testclient import TestClient
from test_predict import Fit

from lightfit.datamodules import Codec, DataError, DataModule, Samples
from lightfit.errors import CheckpointError, NotSetUpError
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.export import main as export
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.trained import load_trained
from lightfit.scripts.predict import main as predict
from lightfit.scripts.serving.app import make_app
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.models import Models, ServedModel

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "waves"
TRUST = ("--trust", "model", "--trust", "waves")
LAST = "runs/waves/version_0/checkpoints/last.ckpt"


def make_waves(folder: str, *, num_waves: int = 48, first: int = 0) -> None:
    """Sine waves, each with its frequency as the number to predict."""
    rng = np.random.default_rng(first)
    Path(folder).mkdir()
    with open(f"{folder}/labels.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "number"))
        for index in range(first, first + num_waves):
            frequency = rng.uniform(1, 10)
            wave = np.sin(np.linspace(0, 2 * np.pi * frequency, 400)) + rng.normal(0, 0.05, 400)
            np.save(f"{folder}/{index:03d}.npy", wave.astype(np.float32))
            rows.writerow((f"{index:03d}.npy", frequency))


@pytest.fixture
def example(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EXAMPLE, workplace, dirs_exist_ok=True)
    make_waves("waves")
    monkeypatch.syspath_prepend(str(workplace))
    for name in ("model", "plain", "waves"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return workplace


@pytest.mark.usefixtures("example")
def test_a_plain_datamodule_trains_and_predict_says_what_it_lacks(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = fit("--task", "plain.yaml", "--trainer.max_epochs", 2)
    assert (code, err) == (0, "")
    assert "plain.WaveDataModule" in out
    assert "WaveDataModule has no codec, so predict, evaluate, export and serve cannot encode raw inputs" in out
    assert "best epoch 1: val_loss" in out
    history = pd.read_csv("runs/plain/version_0/history.csv")
    assert history["loss"].is_monotonic_decreasing
    assert predict(["runs/plain/version_0/checkpoints/last.ckpt", "waves/000.npy", *TRUST]) == 1
    assert "the checkpoint has no codec, so raw inputs cannot be encoded" in capsys.readouterr().err


@pytest.mark.usefixtures("example")
def test_with_a_codec_every_command_works(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    assert len((EXAMPLE / "plain.py").read_text().split("class ")[1].splitlines()) <= 20
    code, out, err = fit("--task", "waves.yaml", "--trainer.max_epochs", 3)
    assert (code, err) == (0, "")
    assert "waves: 38 train, 10 val samples" in out
    assert "predict.py runs/waves/version_0/checkpoints/best" in out.replace("\n", " ")
    assert "--trust model --trust waves" in out

    assert predict([LAST, "waves/000.npy", "waves/001.npy", "-o", "a.csv", *TRUST]) == 0
    table = pd.read_csv("a.csv")
    assert list(table.columns) == ["row", "file", "number", "error"]
    trained = load_trained(LAST, ["model", "waves"])
    x = trained.codec.encode([Path("waves/000.npy"), Path("waves/001.npy")])
    expected = trained.model(x)[:, 0].tolist()
    assert table["number"].tolist() == pytest.approx(expected, abs=1e-4)

    Path("bad.npy").write_text("no array")
    assert predict([LAST, "waves/000.npy", "bad.npy", "-o", "b.csv", *TRUST]) == 1
    rows = pd.read_csv("b.csv")
    assert rows["number"].notna().tolist() == [True, False]
    assert rows["error"][1].startswith("bad.npy: ")

    make_waves("other", num_waves=5, first=100)
    assert evaluate([LAST, "--gpus", "0", *TRUST]) == 0
    assert "val of waves, 10 samples" in capsys.readouterr().out
    assert evaluate([LAST, "--gpus", "0", "--data.source", "other", "-o", "other_scores", *TRUST]) == 0
    scores = json.loads(Path("other_scores/evaluation.json").read_text())
    assert (scores["split"], scores["num_samples"]) == ("all", 5)
    assert evaluate([LAST, "--gpus", "0", "--data.nothing", "other", *TRUST]) == 2

    for kind in ("onnx", "pt2", "safetensors"):
        assert export([LAST, "--format", kind, *TRUST]) == 0
    assert "on 10 samples of val of waves" in capsys.readouterr().out

    predictor = Predictor(trained.model, trained.codec, [torch.device("cpu")])
    content = Path("waves/000.npy").read_bytes()
    limits = Limits(8, 0.001, max_bytes=10**7, max_inputs=10)
    models = Models([ServedModel("waves", trained, predictor, limits)])
    with TestClient(make_app(models, limits)) as asked:
        info = asked.get("/info").json()
        assert (info["domain"], info["input_shape"]) == ("files", [None, 1, 400])
        (uploaded,) = asked.post("/predict", files={"file": ("a.npy", content)}).json()["predictions"]
        assert uploaded == {"file": "a.npy", "number": pytest.approx(expected[0], abs=1e-4)}
        body = {"files": [base64.b64encode(content).decode(), "?"]}
        coded, bad = asked.post("/predict", json=body).json()["predictions"]
        assert coded["number"] == uploaded["number"]
        assert "file 2: not base64" in bad["error"]


@pytest.mark.usefixtures("example")
def test_a_checkpoint_of_changed_data_is_not_resumed_or_evaluated(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--task", "waves.yaml", "--trainer.max_epochs", 1, "--quiet")[::2] == (0, "")
    np.save("waves/000.npy", 100 * np.load("waves/000.npy"))
    code, _, err = fit("--task", "waves.yaml", "--trainer.max_epochs", 2, "--quiet", "--resume", "auto")
    assert code == 1
    assert "'waves' is no longer what the model was trained on" in err
    assert evaluate([LAST, "--gpus", "0", *TRUST]) == 1
    assert "'waves' is no longer what the model was trained on" in capsys.readouterr().err


@pytest.mark.usefixtures("example")
def test_a_net_that_needs_a_size_that_the_data_does_not_know(fit: Fit) -> None:
    source = "import model\nclass Net(model.WaveNet):\n def __init__(self, num_classes: int): super().__init__()\n"
    Path("sized.py").write_text(source)
    code, _, err = fit("--task", "waves.yaml", "--model.net", "sized.Net", "--quiet")
    assert code == 2
    assert "the net requires `num_classes`, which WaveDataModule does not define" in err


ODD = """
import pytorch_lightning as pl
from plain import WaveDataModule

class TrainOnly(WaveDataModule):
    val_dataloader = pl.LightningDataModule.val_dataloader  # as if it were not defined

class TwoVals(WaveDataModule):
    def val_dataloader(self):
        return [super().val_dataloader(), super().val_dataloader()]

    def test_dataloader(self):
        return super().val_dataloader()
"""


@pytest.mark.usefixtures("example")
@pytest.mark.filterwarnings("ignore:You defined a .validation_step. but have no")
def test_datamodules_without_val_and_with_two(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("odd.py").write_text(ODD)
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    code, out, err = fit("--task", "plain.yaml", "--data", "odd.TrainOnly", "--trainer.max_epochs", 1)
    assert code == 0, err
    assert "the data has no val split: the best checkpoint is that of the lowest training loss" in out
    assert "best epoch 0: loss" in out
    code, out, err = fit("--task", "plain.yaml", "--data", "odd.TwoVals", "--trainer.max_epochs", 1)
    assert code == 0, err
    assert "its test split: test_loss" in out
    assert "val_loss_1" in out


class Numbers(Codec):
    """Text files with a number each."""

    def encode(self, samples: list[str]) -> torch.Tensor:
        """Return the numbers, (B, 1)."""
        return torch.tensor([[float(sample)] for sample in samples])

    def decode(self, samples: list[str], predictions: torch.Tensor) -> pd.DataFrame:
        """Return the predictions."""
        return pd.DataFrame({"number": predictions[:, 0].tolist()})


class NumberData(DataModule):
    """As many numbers as the source says; their parity is the class."""

    def read(self, source: str) -> Samples:
        """Return numbers, the last ones for test where the source ends in t."""
        count = int(source.rstrip("t"))
        splits = ["test" if row >= count - 4 else "train" for row in range(count)] if source.endswith("t") else None
        return Samples([str(row) for row in range(count)], targets=[row % 2 for row in range(count)], splits=splits)

    def fit_codec(self, train: Samples) -> Codec:
        """Return a codec that learns nothing."""
        return Numbers()


def test_splits_order_and_state_of_a_custom_datamodule() -> None:
    data = NumberData("24t", batch_size=4, seed=3)
    with pytest.raises(NotSetUpError, match="NumberData has no codec before it has read its data: call setup"):
        _ = data.codec
    assert not hasattr(data, "codec")
    assert data.describe() == "24t: not read yet"
    data.setup()
    assert data.describe() == "24t: 16 train, 4 val, 4 test samples"
    assert data.splits == ("train", "val", "test")
    first, again = ([y.tolist() for _, y in data.train_dataloader()] for _ in range(2))
    assert first == again
    x, y = next(iter(data.test_dataloader()))
    assert (x[:, 0].tolist(), y.tolist()) == ([20, 21, 22, 23], [0, 1, 0, 1])
    assert sorted(data.find_places("val")) == sorted(str(int(v)) for x, _ in data.val_dataloader() for v in x[:, 0])
    assert [y.float().mean() for y in [torch.cat([y for _, y in data.val_dataloader()])]] == [0.5], "stratified"
    folds = [NumberData("24t", fold=f"{index}/2") for index in (1, 2)]
    for fold in folds:
        fold.setup()
        assert fold.describe() == "24t: 10 train, 10 val, 4 test samples"
    assert sorted(folds[0].find_places("val") + folds[1].find_places("val"), key=int) == [str(n) for n in range(20)]

    restored = NumberData("nowhere")
    restored.load_state_dict(data.state_dict())
    assert isinstance(restored.codec, Numbers)
    assert restored.codec.dummy_batch().shape == (2, 1)
    with pytest.raises(NotSetUpError, match="has not read its data"):
        _ = restored.train_data


def test_errors_of_incomplete_data_and_codecs() -> None:
    with pytest.raises(NotImplementedError, match=r"DataModule must define read\(source\)"):
        DataModule("x").setup()
    with pytest.raises(DataError, match="expected as many targets as inputs, 2, received 1"):
        Samples(["a", "b"], targets=[1])
    with pytest.raises(DataError, match="expected splits named train, val, test, received 'dev'"):
        Samples(["a"], targets=[1], splits=["dev"])
    with pytest.raises(DataError, match="holds no samples"):
        Samples([], targets=[])

    class Holds(Numbers):
        def __init__(self, table: object) -> None:
            self.table = table

    class HoldsData(NumberData):
        def fit_codec(self, train: Samples) -> Codec:
            return Holds(torch.zeros(2))

    data = HoldsData("24")
    data.setup()
    with pytest.raises(TypeError, match=r"Holds.to_dict\(\) returned Tensor under 'table': expected plain data"):
        data.state_dict()


def test_a_forged_codec_is_refused() -> None:
    data = NumberData("nowhere")
    for held, problem in (
        ({"class_path": "os.system", "state": {}}, "names class.*of 'os'"),
        ({"class_path": "lightfit.ImageTransforms", "state": {}}, "is not a Codec: damaged or forged"),
        ({"class_path": "lightfit.TextCodec", "state": {"vocabulary": 3}}, "cannot be built here"),
        ({"state": {}}, "cannot be built here"),
    ):
        with pytest.raises(CheckpointError, match=problem):
            data.load_state_dict({"codec": held})
    huge = {"class_path": f"{__name__}.Numbers", "state": {}, "input_shape": [10**9, 10**9], "input_dtype": "float32"}
    with pytest.raises(CheckpointError, match="samples have the shape .* damaged or forged"):
        data.load_state_dict({"codec": huge})
