"""What an export checks before a file gets its name: predictions of many sizes, smaller weights, example programs."""

import json
import re
import runpy
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lightfit.datamodules import LabelSets, Numbers, SeriesColumns, SeriesDataModule, TextCodec, Vocabulary
from lightfit.datamodules.series.frame import read_frame
from lightfit.datamodules.targets import Classes
from lightfit.errors import UsageError
from lightfit.lightning_modules import LightModel
from lightfit.scripts.export import main
from lightfit.scripts.exporting import example, writing
from lightfit.scripts.exporting.agreement import Agreement, choose_lengths, compare, measure_distance
from lightfit.scripts.exporting.bundle import check_folder, describe_bundle, list_requirements
from lightfit.scripts.exporting.compact import score, shrink, time_in_turn
from lightfit.scripts.exporting.formats import BATCH, LENGTH, Exported, run_onnx, trace_trained
from lightfit.scripts.exporting.odd_series import make_odd_tables
from lightfit.scripts.exporting.odd_texts import make_odd_texts
from lightfit.scripts.exporting.samples import Chosen

PLACE = "lightfit.datamodules.text"


class Model(LightModel):
    """Predicts what its net returns."""

    def predict_step(self, batch: Tensor, batch_idx: int = 0) -> Tensor:
        return self(batch)


class Mean(nn.Module):
    """The mean of the ids, of texts that are not too long."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > 20:
            raise ValueError("too long")
        return x.float().mean(1, keepdim=True)


class Joined(nn.Module):
    """A linear map of all places of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.float())


def make_codec(**options: Any) -> TextCodec:
    words = dict.fromkeys(["a", "good", "film", "is", "what", "it", "should", "be", "not", "bad", "at", "all"], 2)
    own: dict[str, Any] = {"tokenizer": f"{PLACE}.tokenize_any", "max_len": None, "bucket": True} | options
    return TextCodec(vocabulary=Vocabulary(words), target=Classes(["a", "b"]), **own)


def test_distances() -> None:
    nan, inf = float("nan"), float("inf")
    for found, expected, distance in (
        ([0.5, 2.0], [0.4, 2.0], 0.1),
        ([30.0], [20.0], 0.5),
        ([nan, inf], [nan, inf], 0.0),
        ([nan], [1.0], inf),
        ([1.0], [nan], inf),
        ([1.0, 2.0], [1.0], inf),
    ):
        assert measure_distance(torch.tensor(found), torch.tensor(expected)) == pytest.approx(distance)
    assert choose_lengths(10, None) == [1, 2, 3, 5, 11, 23]
    assert choose_lengths(10, 11) == [1, 2, 3, 5, 11]


def test_all_sizes_are_compared() -> None:
    model, x = Model(Mean()), torch.arange(24).view(4, 6)
    sizes: list[tuple[int, ...]] = []

    def mean(x: Tensor) -> Tensor:
        sizes.append(tuple(x.shape))
        return x.float().mean(1, keepdim=True)

    assert compare(Exported(mean, (BATCH, 6)), model, x) == Agreement(0.0)
    assert sizes == [(1, 6), (2, 6), (3, 6), (7, 6), (4, 6)]
    assert compare(Exported(mean, (BATCH, LENGTH)), model, x, longest=20) == Agreement(0.0)
    assert sizes[-1] == (4, 15)
    assert compare(Exported(mean, (BATCH, LENGTH)), model, torch.ones(2, 12), longest=None).answered == 27

    def pairs(x: Tensor) -> Tensor:
        if x.shape[1] == 2:
            raise RuntimeError("of one length")
        return x.float().mean(1, keepdim=True)

    assert compare(Exported(pairs, (BATCH, LENGTH)), model, x, longest=20).refused == 2
    one = compare(Exported(lambda x: mean(x)[:1], (BATCH, 6)), model, x)
    assert one.difference == float("inf"), "one prediction for several samples"


def test_what_the_comparison_finds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: Any = SimpleNamespace(codec=make_codec(), model=Model(Mean()))
    samples = Chosen(torch.ones(2, 6), "two samples")
    wanted = writing.Wanted("pt2", None, 0.01)
    found = Agreement(0.0, refused=2)
    monkeypatch.setattr(writing, "compare", lambda *args, **more: found)
    monkeypatch.setitem(writing.WRITERS, "pt2", lambda *args: Exported(lambda x: x))
    (_, line) = writing.write(trained, Path("a.pt2"), samples, wanted)
    assert line == "warning: the file refuses texts of 2 words, which the net takes: pad them"
    found = Agreement(0.0, answered=27)
    with pytest.raises(ValueError, match="predicts texts of 27 words, which the net refuses: .* The file was deleted"):
        writing.write(trained, Path("a.pt2"), samples, wanted)


def test_a_net_of_one_length_is_refused_for_texts_of_several() -> None:
    trained: Any = SimpleNamespace(codec=make_codec(), model=Model(Joined()))
    with pytest.raises(ValueError, match="Joined cannot be exported for texts of several lengths, .* one for"):
        trace_trained(trained)


class Constant(nn.Module):
    """Takes the batch size for a constant."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1)


def test_a_fixed_batch_size_is_explained() -> None:
    trained: Any = SimpleNamespace(codec=make_codec(bucket=False, max_len=8), model=Model(Constant()))
    problem = r"Constant cannot be exported: its code takes the batch size for a constant, as by len\(x\)"
    with pytest.raises(ValueError, match=problem):
        trace_trained(trained)


def make_file(operation: str = "MatMul", size: int = 64) -> Path:
    """Write an ONNX file with a matrix, and metadata."""
    rng = np.random.default_rng(0)
    shapes = [(size, size)] if operation == "MatMul" else [(1, 4 * size, size), (1, 4 * size, size)]
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), f"w{index}")
        for index, shape in enumerate(shapes)
    ]
    x_shape, y_shape = (["batch", size], ["batch", size]) if operation == "MatMul" else ([1, 1, size], None)
    more = {} if operation == "MatMul" else {"hidden_size": size}
    graph = helper.make_graph(
        [helper.make_node(operation, ["x", *(weight.name for weight in weights)], ["y"], **more)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key="lightfit", value="{}")
    onnx.save(model, "model.onnx")
    return Path("model.onnx")


def test_smaller_weights() -> None:
    path, x = make_file(), torch.randn(8, 64)
    before = run_onnx(path)
    for kind, share, error in (("float16", 0.6, 0.05), ("int8", 0.4, 2.0)):
        content = shrink(path, kind)  # type: ignore[arg-type]
        assert len(content) < share * path.stat().st_size, kind
        model = onnx.load_from_string(content)
        assert [(own.key, own.value) for own in model.metadata_props] == [("lightfit", "{}")]
        after = run_onnx(content)(x)
        assert after.dtype == torch.float32
        assert 0 < (after - before(x)).abs().max() < error
    first, second = time_in_turn(before, before, x)
    assert 0 < first < 1000
    assert 0 < second < 1000


def test_recurrent_nets_have_no_float16() -> None:
    with pytest.raises(ValueError, match="a net with LSTM has no file in float16, .*: choose --quantize int8"):
        shrink(make_file("LSTM", 4), "float16")


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_what_cannot_be_converted_is_said(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> None:
        raise RuntimeError("no such operation\nand a second line")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", refuse)
    monkeypatch.setattr("onnxruntime.transformers.float16.convert_float_to_float16", refuse)
    with pytest.raises(ValueError, match=rf"cannot convert this net to {kind} \(no such operation\): leave it out"):
        shrink(make_file(), kind)


def having(target: Any) -> Any:
    codec = make_codec()
    object.__setattr__(codec, "target", target)
    return SimpleNamespace(codec=codec)


def test_scores_of_smaller_weights() -> None:
    trained = having(Classes(["a", "b"]))
    before = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    after, y = before.clone(), torch.tensor([0, 1, 1, 1])
    after[2] = torch.tensor([0.6, 0.4])
    assert score(trained, before, after, y) == ("accuracy", 0.75, 0.5, 0.25)
    assert score(trained, before, after, None) == ("same class", 1.0, 0.75, 0.25)
    assert score(trained, after, before, y).drop == -0.25, "better is never refused"

    trained = having(LabelSets(["a", "b"]))
    before = torch.tensor([[[0.9, 0.5], [0.1, 0.5]], [[0.2, 0.5], [0.8, 0.5]]])
    after = before.clone()
    after[1, 1, 0] = 0.3
    found = score(trained, before, after, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert found == ("f1_micro", 1.0, pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert score(trained, before, after, None).drop == pytest.approx(1 / 3)

    trained = having(Numbers(["a"], mean=[0.0], std=[1.0]))
    before = torch.tensor([[[1.0, 0.5, 1.5]], [[2.0, 1.5, 2.5]]])
    after = before + torch.tensor([0.1, 5.0, 5.0])  # the ends of the interval do not count
    found = score(trained, before, after, torch.tensor([[0.5], [1.5]]))
    assert found == ("mae, scaled", 0.5, pytest.approx(0.6), pytest.approx(0.2))
    assert score(trained, before, after, None).drop == pytest.approx(0.1 / 1.5, rel=1e-3)

    trained = SimpleNamespace(codec=SimpleNamespace())
    before = torch.zeros(2, 3, 1, 3)  # quantiles of forecasts, of which the middle one counts
    after, y = before.clone(), torch.full((2, 3, 1), 0.5)
    y[0, 0] = float("nan")
    after[..., 1] = -0.1
    assert score(trained, before, after, y) == ("mae, scaled", 0.5, pytest.approx(0.6), pytest.approx(0.2))
    after[1, 2, 0, 1] = float("nan")
    assert score(trained, before, after, y).drop == float("inf"), "a prediction was lost"
    assert score(having(Classes(["a", "b"])), torch.eye(2), torch.eye(2) * float("nan"), None).drop == float("inf")


def test_a_smaller_file_that_scores_worse_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file()
    content, x = path.read_bytes(), torch.randn(40, 64)
    worse = torch.eye(64)[torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    runtime = run_onnx(path)
    monkeypatch.setattr(writing, "run_onnx", lambda content: lambda x: runtime(x) @ worse)
    samples, trained = Chosen(x, "40 samples"), having(Classes([str(index) for index in range(64)]))
    with pytest.raises(ValueError, match=r"same class is \S+ instead of 1 on 40 samples, .* at most --max_drop 0.01"):
        writing._shrink(trained, path, runtime, samples, "int8", 0.01)
    assert path.read_bytes() == content
    lines = writing._shrink(trained, path, runtime, samples, "int8", 1.0)
    assert len(path.read_bytes()) < len(content)
    assert re.fullmatch(r"size, MiB +0.02 +0.00  0.\d\d of it", lines[1])
    assert re.fullmatch(r"ms for 40 +\d+\.\d\d +\d+\.\d\d  median of 9, in turn, on this processor", lines[3])


def test_flags_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    for args, problem in (
        (["pt2", "--dtype", "float16"], "--dtype float16 is for --format onnx and bundle, received --format pt2"),
        (["safetensors", "--quantize", "int8"], "--quantize int8 is for --format onnx and bundle, received"),
        (["onnx", "--quantize", "int8", "--dtype", "float16"], "received both: leave one out"),
        (["onnx", "--max_drop", "0.1"], "--max_drop is for smaller weights: add --quantize int8"),
        (["onnx", "--dtype", "float16", "--max_drop", "-1"], "expected --max_drop of at least 0, received -1"),
        (["onnx", "--dtype", "float16", "--max_drop", "nan"], "expected --max_drop of at least 0, received nan"),
    ):
        assert main(["a.ckpt", "--format", *args]) == 2
        assert problem in capsys.readouterr().err


def test_folders_that_are_no_bundle_stay() -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").touch()
    Path("bundle").mkdir()
    Path("file").touch()
    check_folder(Path("bundle"), overwrite=False)  # empty
    for name in ("model.onnx", "README.md", "onnx_text.py"):
        (Path("bundle") / name).touch()
    check_folder(Path("bundle"), overwrite=True)
    for path, overwrite, problem in (
        ("mine", True, "the folder 'mine' holds 'thesis.tex', so it is no bundle to replace"),
        ("bundle", False, "'bundle' already exists: choose another name, or replace it with --overwrite"),
        ("file", True, "'file' is a file: expected the name of a folder"),
        ("no/bundle", False, "no folder '.*no' to write 'bundle' into"),
    ):
        with pytest.raises(UsageError, match=problem):
            check_folder(Path(path), overwrite=overwrite)


def test_requirements_are_what_is_installed() -> None:
    expected = {"numpy", "onnxruntime"}
    for program, more in ((example.TEXT, set()), (example.SERIES, set()), (example.IMAGES, {"pillow"})):
        named = dict(line.split("==") for line in list_requirements(program))
        assert {name.lower() for name in named} == expected | more
        assert all(version(name).startswith(number) for name, number in named.items())


def test_a_readme_holds_any_name() -> None:
    known = {"domain": "text", "lightfit": "1", "max_len": 20, "width": None, "pad": 1}
    names = ["```", "a|b", "# x\n", "中文", *map(str, range(200))]
    target = {"kind": "classes", "names": names}
    lines = list(
        describe_bundle("onnx_text.py", "3.11", known | {"target": target}, "int64 (n)", "float32 (n)", ["ok"])
    )
    begin = lines.index("```json") + 1
    assert [json.loads(line) for line in lines[begin : lines.index("```", begin)]] == names[:100]
    assert "And 104 more, in the metadata of `model.onnx` under `lightfit`." in lines


def test_there_is_a_program_only_for_codecs_that_it_knows() -> None:
    class Own(TextCodec):
        def encode(self, samples: Any) -> Tensor:
            return torch.zeros(1, 1)

    codec = make_codec()
    own = Own(**{name: getattr(codec, name) for name in ("vocabulary", "target", "tokenizer", "max_len", "bucket")})
    for known, program in (
        (codec, example.TEXT),
        (own, None),
        (make_codec(tokenizer="test_export_checks.split"), None),
        (SimpleNamespace(domain="files"), None),
    ):
        assert example.find_program(SimpleNamespace(codec=known)) == program  # type: ignore[arg-type]


def split(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize("options", [{}, {"max_len": 12, "bucket": False}, {"tokenizer": f"{PLACE}.tokenize"}])
def test_the_program_of_texts_does_all_that_the_codec_does(options: dict[str, Any]) -> None:
    codec = make_codec(**options)
    prepare, known = runpy.run_path(str(example.TEXT))["prepare"], json.loads(json.dumps(codec.metadata()))
    texts = make_odd_texts(codec.vocabulary.itos[2:40])
    assert {"empty", "emoji", "NUL", "Chinese", "mixed width", "upper case", "digits", "very long"} <= set(texts)
    np.testing.assert_array_equal(prepare([*texts.values()], known), codec.encode([*texts.values()]).numpy())
    for text in texts.values():
        np.testing.assert_array_equal(prepare([text], known), codec.encode([text]).numpy())


@pytest.mark.parametrize("step", ["unescape", "normalize", "remove", "blank"])
def test_the_odd_texts_find_a_step_that_is_left_out(step: str) -> None:
    codec = make_codec()
    program, known = runpy.run_path(str(example.TEXT)), codec.metadata()
    program["steps"][step] = lambda text, *arguments: text
    texts = make_odd_texts(codec.vocabulary.itos[2:40]).values()
    assert any(program["prepare"]([text], known).tolist() != codec.encode([text]).tolist() for text in texts)


ROWS = 90
TABLE = pd.DataFrame(
    {
        "date": pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d"),
        "load": 5 + np.sin(np.arange(ROWS) / 3),
        "wind": np.cos(np.arange(ROWS) / 5),
        "shop": ["a, b"] * ROWS,
        "promo": [("no", "yes", "no")[index % 3] for index in range(ROWS)],
        "weather": [("sun", "rain", "snow")[index % 3] for index in range(ROWS)],
        "open": [index % 7 > 0 for index in range(ROWS)],
        "kind": ["corner"] * ROWS,
    }
)
SEVERAL = pd.concat([TABLE, TABLE.assign(shop="c", load=TABLE["load"] * 3, kind="mall")])
COLUMNS = {"past": ("wind", "weather"), "known": ("promo", "open"), "static": ("kind",)}


@pytest.mark.parametrize(
    ("table", "options", "columns"),
    [
        (TABLE, {}, {}),
        (TABLE, {"fill": "mask", "diff": 1}, {"known": ("promo",)}),
        (TABLE, {"fill": "interpolate", "diff": 2}, {"past": ("wind",)}),
        (TABLE, {"fill": "forward", "scale": "mean", "nonnegative": True}, {"known": ("open", "weather")}),
        (SEVERAL, {"fill": "mask"}, {"series_id": "shop", **COLUMNS}),
        (SEVERAL, {"fill": "interpolate", "scale": "none", "target": ("load", "wind")}, {"series_id": "shop"}),
        (SEVERAL, {"fill": "forward", "diff": 1, "horizon": 9}, {"series_id": "shop", **COLUMNS}),
    ],
)
def test_the_program_of_series_does_all_that_the_codec_does(
    table: pd.DataFrame, options: dict[str, Any], columns: dict[str, Any]
) -> None:
    table.to_csv("table.csv", index=False)
    given = {"target": "load", "lookback": 7, "horizon": 3, **options}
    module = SeriesDataModule("table.csv", columns=SeriesColumns(**{"time": "date", **columns}), **given)
    module.setup()
    codec, program = module.codec, runpy.run_path(str(example.SERIES))
    known = json.loads(json.dumps(codec.metadata()))
    Path("odd").mkdir()
    compared = []
    for path in make_odd_tables(Path("odd"), codec):
        if path.stem == "missing values" and codec.fill == "error":
            with pytest.raises(ValueError, match="values are missing, and the model was not trained to fill them"):
                program["prepare"](str(path), known)
            continue
        ours = list(codec.last_windows(read_frame(path).table, path.stem))
        theirs = program["prepare"](str(path), known)
        assert [window["name"] for window in theirs] == [window.name for window in ours]
        for window, own in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(window["x"], own.x, atol=1e-5)
        y = torch.randn(len(ours), codec.horizon, codec.num_targets)
        decoded = codec.decode(ours, y)[list(codec.target_names)].to_numpy()
        restored = np.concatenate(
            [program["restore"](*pair, known)[..., 0] for pair in zip(y.numpy(), theirs, strict=True)]
        )
        np.testing.assert_allclose(restored, decoded, atol=1e-5)
        compared.append(path.stem)
    assert {"plain", "short"} <= set(compared)
    assert ("several series" in compared) == (table is SEVERAL)


def test_the_program_of_series_refuses_what_is_too_short() -> None:
    TABLE.to_csv("table.csv", index=False)
    columns = SeriesColumns(time="date", known=("promo",))
    module = SeriesDataModule("table.csv", target="load", lookback=7, horizon=3, columns=columns)
    module.setup()
    prepare, known = runpy.run_path(str(example.SERIES))["prepare"], json.loads(json.dumps(module.codec.metadata()))
    for rows, problem in ((5, "expected at least 7 rows with a target, received 5"), (30, "expected 3 rows after the")):
        TABLE.head(rows).to_csv("short.csv", index=False)
        with pytest.raises(ValueError, match=problem):
            prepare("short.csv", known)
