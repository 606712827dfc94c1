"""Tables of paths and labels, Parquet with images, and COCO files, as public data sets have them."""

import io
import json
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightfit.datamodules import DataError
from lightfit.datamodules.images.layouts import parquet
from lightfit.datamodules.images.layouts.listing import Ignored, fingerprint_listing, list_paths
from lightfit.datamodules.images.layouts.options import ImageOptions
from lightfit.datamodules.images.sources import list_source
from lightfit.errors import NotFoundError, UsageError
from tests.datamodules.images.test_layouts import PNG, SKIP, encode, put, summarise

CSV = "image,label\na.png,cat\nb.png,dog\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", CSV),
        ("t.csv", "file;class\nimgs/a.png;cat\nimgs/b.png;dog\n"),
        ("t.csv", ",filename,breed\n0,a.png,cat\n1,b.png,dog\n"),  # with the index of pandas
        ("t.tsv", "label\tpath\ncat\t./imgs/a.png\ndog\timgs/b.png\n"),
        ("t.csv", "id_code,diagnosis\na,cat\nb,dog\n"),  # ids, as APTOS
        ("t.csv", "imgs\\a.png,cat\nimgs\\b.png,dog\n"),  # without a header, of Windows
        ("t.csv", "file_name,y,x\na.png,1,2\nb.png,3,4\n"),  # boxes are no labels
        ("t.txt", "imgs/a.png cat\nimgs/b.png dog\n"),
        ("val.txt", "a.png 0\nb.png 1\n"),  # ImageNet
        ("t.txt", "a.png golden cat\nb.png dog\n"),
        ("list.txt", "#Image CLASS-ID SPECIES\na 1 1\nb 2 1\n"),
        ("t.jsonl", '{"file_name": "imgs/a.png", "label": "cat"}\n{"file_name": "imgs/b.png", "label": "dog"}\n'),
        ("t.json", '[{"img": "a.png", "label": "cat"}, {"img": "b.png", "label": "dog"}]'),
    ],
)
def test_tables_of_paths(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path, "imgs/a.png", "imgs/b.png")
    path = write(tmp_path / name, text)
    if "y,x" in text:
        with pytest.raises(NotFoundError, match="which column holds the labels.*file_name, y, x.*`label_column`"):
            list_source(path)
        return
    options = ImageOptions(label_column=1) if name == "list.txt" else ImageOptions()
    listing = list_source(path, options)
    assert [os.path.basename(item) for item in listing.names] == ["a.png", "b.png"]
    expected = {"val.txt": ["0", "1"], "list.txt": ["1", "2"]}.get(name, ["cat", "dog"])
    assert [str(label).removeprefix("golden ") for label in listing.labels] == expected
    assert [listing.files.read(item) for item in listing.names] == [PNG, PNG]
    assert f"{name}: " in listing.found[0]
    assert "paths in " in listing.found[0]
    assert pickle.loads(pickle.dumps(listing.files)).read(listing.names[0]) == PNG


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv.gz"])
def test_tables_of_other_formats(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "a.png", "b.png")
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["cat", "dog"], "age": [1.5, 2.5]})
    path = tmp_path / f"t.{kind}"
    if kind == "csv.gz":
        frame.to_csv(path, index=False)
    else:
        (frame.to_parquet if kind == "parquet" else frame.to_feather)(path)
    assert list(list_source(path).labels) == ["cat", "dog"]
    assert [float(label) for label in list_source(path, ImageOptions(label_column="age")).labels] == [1.5, 2.5]


def test_columns_that_are_named(tmp_path: Path) -> None:
    put(tmp_path, "far/a.png", "far/b.png")
    table = "patient,where,what,image\np1,a.png,0.5,x\np1,b.png,0.25,y\n"
    path = write(tmp_path / "t.csv", table)
    options = ImageOptions(
        path_column="where", label_column="what", group_column="patient", image_dir=str(tmp_path / "far")
    )
    listing = list_source(path, options)
    assert (listing.labels, listing.owners, listing.names) == (["0.5", "0.25"], ["p1", "p1"], ["a.png", "b.png"])
    assert "groups in column patient" in listing.found[0]
    assert list_paths(listing, path) == [tmp_path / "far/a.png", tmp_path / "far/b.png"]
    before = fingerprint_listing(listing, path)
    assert len(before) == 3
    (tmp_path / "far/a.png").write_bytes(encode(9) + b" ")
    assert fingerprint_listing(listing, path) != before
    assert list_source(path, ImageOptions(path_column=1, label_column=2, image_dir="far")).labels == ["0.5", "0.25"]
    with pytest.raises(NotFoundError, match=r"no folder at `image_dir` 'nowhere' \(looked from"):
        list_source(path, ImageOptions(path_column=1, label_column=2, image_dir="nowhere"))
    with pytest.raises(DataError, match="'what' is chosen for `path_column` and `label_column`"):
        list_source(path, ImageOptions(path_column="what", label_column="what"))
    with pytest.raises(NotFoundError, match=r"has no column 'nope'.*`group_column`"):
        list_source(path, ImageOptions(path_column="where", label_column="what", group_column="nope"))
    with pytest.raises(UsageError, match="`label_column` and `class_level` both say where the labels are"):
        list_source(path, ImageOptions(label_column="what", class_level=1))


def test_absolute_paths_and_paths_that_go_up(tmp_path: Path) -> None:
    put(tmp_path, "imgs/a.png", "imgs/b.png")
    path = write(tmp_path / "tables/t.csv", f"path,label\n{tmp_path}/imgs/a.png,cat\n../imgs/b.png,dog\n")
    listing = list_source(path)
    assert [listing.files.read(name) for name in listing.names] == [PNG, PNG]
    assert [str(item.resolve()) for item in list_paths(listing, path)] == [
        str(tmp_path / f"imgs/{name}.png") for name in "ab"
    ]


def test_several_label_columns(tmp_path: Path) -> None:  # Plant Pathology
    put(tmp_path, "images/Train_0.jpg", "images/Train_1.jpg", "images/Test_0.jpg")
    write(tmp_path / "train.csv", "image_id,healthy,rust,scab\nTrain_0,0,1,1\nTrain_1,1,0,0\n")
    write(tmp_path / "test.csv", "image_id\nTest_0\n")
    write(tmp_path / "sample_submission.csv", "image_id,healthy,rust,scab\nTest_0,0.25,0.25,0.25\n")
    listing = list_source(tmp_path)
    assert list(listing.labels) == [
        {"healthy": "0", "rust": "1", "scab": "1"},
        {"healthy": "1", "rust": "0", "scab": "0"},
    ]
    assert any("left out" in line and "test.csv" in line for line in listing.warnings)
    assert Ignored("images/Test_0.jpg", "not in the table") in listing.ignored
    two = list_source(tmp_path, ImageOptions(label_column="rust,scab"))
    assert list(two.labels) == [{"rust": "1", "scab": "1"}, {"rust": "0", "scab": "0"}]


def test_kaggle(tmp_path: Path) -> None:
    put(tmp_path, "train/1.jpg", "train/2.jpg", "valid/1.jpg", "test/1.jpg", "test/2.jpg")
    write(tmp_path / "train_labels.csv", "id,label\n1,cat\n2,dog\n")
    write(tmp_path / "valid_labels.csv", "id,label\n1,dog\n")
    listing = list_source(tmp_path)
    assert summarise(listing) == {"train/1.jpg": "train cat", "train/2.jpg": "train dog", "valid/1.jpg": "val dog"}
    assert "images found by name in the folders 'train' (2)" in listing.found
    assert sum(reason == "not in the table" for _, reason in listing.ignored) == 2
    (tmp_path / "valid_labels.csv").unlink()
    with pytest.raises(DataError, match=r"'1' may be test/1.jpg or (train|valid)/1.jpg: name the folder.*`image_dir`"):
        list_source(write(tmp_path / "labels.csv", "id,label\n1,cat\n2,dog\n"))
    assert len(list_source(tmp_path / "labels.csv", ImageOptions(image_dir=str(tmp_path / "train"))).names) == 2


def test_two_folders_of_images_and_a_table(tmp_path: Path) -> None:  # HAM10000: its folders are no classes
    put(tmp_path, "HAM_part_1/I1.jpg", "HAM_part_1/I2.jpg", "HAM_part_2/I3.jpg")
    write(tmp_path / "HAM_metadata.csv", "lesion_id,image_id,dx,age\nL1,I1,nv,3\nL1,I2,mel,4\nL2,I3,nv,5\n")
    listing = list_source(tmp_path)
    assert list(listing.labels) == ["nv", "mel", "nv"]
    assert "the labels are those of the table HAM_metadata.csv, not the folders HAM_part_1, HAM_part_2; set" in "".join(
        listing.warnings
    )
    assert list(list_source(tmp_path, ImageOptions(class_level=1)).labels) == ["HAM_part_1", "HAM_part_1", "HAM_part_2"]
    grouped = list_source(tmp_path, ImageOptions(group_column="lesion_id"))
    assert grouped.owners == ["L1", "L1", "L2"]


def test_a_table_beside_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "images/001.Black/a.jpg", "images/002.Laysan/b.jpg")  # CUB
    write(tmp_path / "images.txt", "1 001.Black/a.jpg\n2 002.Laysan/b.jpg\n")
    assert list(list_source(tmp_path).labels) == ["001.Black", "002.Laysan"]
    write(tmp_path / "labels.csv", "path,label\n001.Black/a.jpg,albatross\n002.Laysan/b.jpg,gull\n")
    listing = list_source(tmp_path)
    assert list(listing.labels) == ["001.Black", "002.Laysan"]
    assert "the table labels.csv agrees with the folders" in listing.found
    put(tmp_path / "s", "train/cat/1.png", "train/dog/2.png", "test/cat/3.png")
    write(tmp_path / "s/labels.csv", "path,label\ntrain/cat/1.png,x\ntrain/dog/2.png,x\ntest/cat/3.png,y\n")
    assert sorted(list_source(tmp_path / "s").labels) == ["cat", "cat", "dog"]


def test_a_flat_test_folder_with_a_table(tmp_path: Path) -> None:  # German traffic signs
    put(tmp_path, "Train/0/1.png", "Train/1/2.png", "Test/3.png")
    write(tmp_path / "Train.csv", "Width,ClassId,Path\n2,0,Train/0/1.png\n2,1,Train/1/2.png\n")
    write(tmp_path / "Test.csv", "Width,ClassId,Path\n2,1,Test/3.png\n")
    listing = list_source(tmp_path)
    assert summarise(listing) == {"Train/0/1.png": "train 0", "Train/1/2.png": "train 1", "Test/3.png": "test 1"}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
@pytest.mark.parametrize("splits", [("",), ("train/", "test/")])
def test_metadata_of_hugging_face(tmp_path: Path, name: str, splits: tuple[str, ...]) -> None:
    for split in splits:
        put(tmp_path / split, "1.png", "sub/2.png")
        rows = [{"file_name": "1.png", "label": "cat"}, {"file_name": "sub/2.png", "label": "dog"}]
        frame = pd.DataFrame(rows)
        text = frame.to_csv(index=False) if name.endswith("csv") else "\n".join(map(json.dumps, rows))
        write(tmp_path / split / name, text)
    listing = list_source(tmp_path)
    assert sorted(listing.labels) == sorted(["cat", "dog"] * len(splits))
    assert listing.splits.tolist() == ([0, 0] if splits == ("",) else [0, 0, 2, 2])


def test_classes_of_roboflow_in_columns(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        put(tmp_path / split, "1.jpg", "2.jpg")
        write(tmp_path / split / "_classes.csv", "filename, cat, dog\n1.jpg, 1, 0\n2.jpg, 1, 1\n")
    listing = list_source(tmp_path)
    assert listing.splits.tolist() == [0, 0, 1, 1]
    assert listing.labels[1] == {"cat": "1", "dog": "1"} or listing.labels[1] == {"cat": " 1", "dog": " 1"}


@pytest.mark.parametrize("column", ["split", "data set"])
def test_a_column_of_splits(tmp_path: Path, column: str) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    path = write(tmp_path / "t.csv", f"filepaths,labels,{column}\na.png,x,train\nb.png,y,valid\nc.png,x,Test\n")
    listing = list_source(path)
    assert summarise(listing) == {"a.png": "train x", "b.png": "val y", "c.png": "test x"}
    assert f"splits in column {column}" in listing.found[0]
    write(path, f"filepaths,labels,{column}\na.png,x,train\nb.png,y,valid\n" + "c.png,x,train\n" * 1200 + "c.png,x,?\n")
    with pytest.raises(DataError, match=r"line 1204: '\?' is no split; expected train, val or test"):
        list_source(path)


def test_splits_by_the_folders_of_the_paths(tmp_path: Path) -> None:
    put(tmp_path, "d/train/a.png", "d/val/b.png")
    listing = list_source(write(tmp_path / "t.csv", "path,label\nd/train/a.png,x\nd/val/b.png,y\n"))
    assert listing.splits.tolist() == [0, 1]
    assert "splits by the folders of the images: train, val" in listing.found


def test_lists_of_the_images_of_each_split(tmp_path: Path) -> None:  # Food-101
    put(tmp_path, "food/images/pie/1.jpg", "food/images/ribs/2.jpg", "food/images/pie/3.jpg", "food/images/ribs/4.jpg")
    write(tmp_path / "food/meta/train.txt", "pie/1\nribs/2\n")
    write(tmp_path / "food/meta/test.txt", "pie/3\nribs/4\n")
    write(tmp_path / "food/meta/classes.txt", "pie\nribs\n")
    assert sorted(summarise(list_source(tmp_path)).values()) == ["test pie", "test ribs", "train pie", "train ribs"]


def test_tables_whose_columns_are_not_found(tmp_path: Path) -> None:
    put(tmp_path, "img/1.jpg", "img/2.jpg")  # CelebA
    write(tmp_path / "attributes.csv", "image_id,Young,Smiling\n1.jpg,1,-1\n2.jpg,-1,1\n")
    with pytest.raises(DataError, match=r"in class folders.* not read: .*which column holds the labels\? It has: im"):
        list_source(tmp_path)
    assert list(list_source(tmp_path, ImageOptions(label_column="Young")).labels) == ["1", "-1"]
    with pytest.raises(NotFoundError, match="has no column 'Old'; it has: image_id, Young, Smiling"):
        list_source(tmp_path, ImageOptions(label_column="Old"))
    write(tmp_path / "b/t.csv", CSV)
    with pytest.raises(DataError, match="2 of 2 images that '.*t.csv' names are not there, such as a.png, b.png"):
        list_source(tmp_path / "b")


def test_labels_of_a_table_without_a_column_for_them(tmp_path: Path) -> None:
    put(tmp_path, "cat/a_1.png", "dog/b_2.png")
    path = write(tmp_path / "t.csv", "path\ncat/a_1.png\ndog/b_2.png\n")
    assert list(list_source(path).labels) == ["cat", "dog"]
    assert "labels by its folder" in list_source(path).found[0]
    assert list(list_source(path, ImageOptions(label_from=r"([a-z])_\d")).labels) == ["a", "b"]
    with pytest.raises(DataError, match=r"'dog/b_2.png' has no label: `label_from` '\(a\)_' finds none"):
        list_source(path, ImageOptions(label_from="(a)_"))


def test_paths_that_do_not_exist(tmp_path: Path) -> None:
    put(tmp_path, "photos/x/a.png", "photos/x/b.png", "photos/x/c.png", "photos/x/d.png")
    rows = "".join(f"/home/me/x/{name}.png,{label}\n" for name, label in zip("abcde", "12121", strict=True))
    path = write(tmp_path / "t.csv", f"path,label\n{rows}")
    with pytest.raises(
        DataError,
        match=r"5 of 5 images that '.*t.csv' names are not there, such as /home/me/x/a.png, /home/me/x/b.png, "
        r"/home/me/x/c.png \(looked in '.*'\); `image_dir` '.*/photos' would mend 4 of them, or set `on_error` to skip",
    ):
        list_source(path)
    options = ImageOptions(image_dir=str(tmp_path / "photos"))
    with pytest.raises(DataError, match=r"1 of 5 images that .* not there, such as /home/me/x/e.png .*`image_dir`"):
        list_source(path, options)
    listing = list_source(path, ImageOptions(image_dir=options.image_dir, table=SKIP))
    assert list(listing.names) == ["x/a.png", "x/b.png", "x/c.png", "x/d.png"]
    assert listing.skipped == [f"{path}, line 6: no image '/home/me/x/e.png'"]
    assert "4 paths are read below `image_dir` without their first folders, '/home/me'" in listing.found
    write(path, "path,label\nq.png,1\nr.png,2\n")
    with pytest.raises(DataError, match=r"2 of 2 .*; set `image_dir` to the folder of the images, or"):
        list_source(path, ImageOptions(table=SKIP))


def test_an_image_that_is_named_twice(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    path = write(tmp_path / "t.csv", f"{CSV}a.png,cat\n")
    listing = list_source(path)
    assert (list(listing.names), listing.found[-1]) == (
        ["a.png", "b.png"],
        "rows that repeat an image with the same label are read once (1)",
    )
    write(path, f"{CSV}./a.png,dog\nb.png,cat\nc.png,cat\n")
    with pytest.raises(
        DataError,
        match=r"the table disagrees with itself: 2 images have several labels: a.png is cat \(t.csv, line 2\) and dog "
        r"\(t.csv, line 4\); b.png is dog .*joined by \|; or set `on_error`",
    ):
        list_source(path)
    listing = list_source(path, ImageOptions(table=SKIP))
    assert (list(listing.names), len(listing.skipped)) == (["c.png"], 2)


def test_two_tables_that_disagree(tmp_path: Path) -> None:
    put(tmp_path, "imgs/a.png", "imgs/b.png", "imgs/c.png")
    write(tmp_path / "train.csv", CSV)
    write(tmp_path / "val.csv", "image,label\na.png,dog\nc.png,cat\n")
    with pytest.raises(
        DataError, match=r"the tables disagree: 1 image has several labels: imgs/a.png is cat \(train.csv, line 2\) and"
    ):
        list_source(tmp_path)
    write(tmp_path / "val.csv", "image,class\nc.png,dog\n")
    with pytest.raises(
        DataError,
        match=r"the tables disagree: '.*train.csv' has the labels in label, and '.*val.csv' has no column label",
    ):
        list_source(tmp_path)
    write(tmp_path / "val.csv", "image,label\nc.png,dog\n")
    assert list_source(tmp_path).splits.tolist() == [0, 0, 1]
    write(tmp_path / "val.csv", "image,label\nc.png,\n")
    assert any("all labels of" in line for line in list_source(tmp_path).warnings)


def test_rows_that_cannot_be_read(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    path = write(tmp_path / "t.csv", f"{CSV}a.png,cat,too,many\n,dog\n")
    with pytest.raises(DataError, match=r"2 rows of '.*t.csv' cannot be read. The first: .*line 4.*`on_error` to skip"):
        list_source(path)
    listing = list_source(path, ImageOptions(table=SKIP))
    assert (len(listing.names), len(listing.skipped)) == (2, 2)


def test_a_folder_with_several_tables(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    write(tmp_path / "one.csv", CSV)
    write(tmp_path / "two.csv", CSV)
    with pytest.raises(DataError, match=r"holds 2 tables that name its images \(one.csv, two.csv\): set `root` to one"):
        list_source(tmp_path)
    with pytest.raises(UsageError, match="is a single image: expected a folder, an archive or a table"):
        list_source(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="no folder, archive or table at 'nope'"):
        list_source(Path("nope"))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_table_in_an_archive(tmp_path: Path, kind: str) -> None:
    files = {"d/labels.csv": CSV.encode(), "d/imgs/a.png": PNG, "d/imgs/b.png": encode(3)}
    path = tmp_path / f"a.{kind}"

    def pack() -> None:
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in files.items():
                    archive.writestr(name, data)
            return
        with tarfile.open(path, "w:gz") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    pack()
    listing = list_source(path, data_dir=tmp_path / "data")
    assert summarise(listing) == {"d/imgs/a.png": "train cat", "d/imgs/b.png": "train dog"}
    assert listing.files.read("d/imgs/b.png") == encode(3)
    assert list_paths(listing, path) == []
    assert len(list_source(path, ImageOptions(image_dir="d/imgs"), data_dir=tmp_path / "data").names) == 2
    put(tmp_path, "secret.png")
    files["d/labels.csv"] = b"image,label\nimgs/a.png,cat\nimgs/b.png,dog\nimgs/a.png,cat\n../../secret.png,dog\n"
    pack()
    with pytest.raises(DataError, match="'../../secret.png' leaves the archive"):
        list_source(path, data_dir=tmp_path / "data")


def hugging_face(path: Path, labels: list[Any], names: list[str] | None = None, **columns: list[Any]) -> Path:
    """Write a Parquet file as `datasets` does, with images of one value each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": encode(index), "path": f"{index}.png"} for index in range(len(labels))]
    table = pa.table({"image": cells, "label": labels, **columns})
    if names is not None:
        kind: dict[str, Any] = {"names": names, "_type": "ClassLabel"}
        if labels and isinstance(labels[0], list):
            kind = {"feature": kind, "_type": "Sequence"}
        features = {"image": {"_type": "Image"}, "label": kind}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    if path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    else:
        pq.write_table(table, path, row_group_size=2)
    return path


def test_a_data_set_of_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["cat", "dog"]
    hugging_face(tmp_path / "data/train-00000-of-00002.parquet", [0, 1, 0, 1, 0], names)
    hugging_face(tmp_path / "data/train-00001-of-00002-0123456789abcdef.parquet", [1], names)
    hugging_face(tmp_path / "data/test-00000-of-00001.parquet", [-1, -1], names)
    write(tmp_path / "README.md", "---")
    listing = list_source(tmp_path)
    assert list(listing.labels) == ["cat", "dog", "cat", "dog", "cat", "dog"]
    assert listing.found[0] == "train: 2 files: Parquet; images in column image, labels in column label"
    assert listing.warnings == ["test: left out, as its 2 images have no labels"]
    assert listing.places[4] == "data/train-00000-of-00002.parquet, row 5 (4.png)"
    files = pickle.loads(pickle.dumps(listing.files))
    assert [files.read(name) for name in listing.names] == [*map(encode, range(5)), encode(0)]
    monkeypatch.setattr(parquet, "MOST_KEPT_BYTES", 1)
    files = pickle.loads(pickle.dumps(files))
    assert [files.read(name) for name in reversed(listing.names)] == [encode(0), *map(encode, reversed(range(5)))]
    assert len(files._kept) == 1, "memory does not grow with the file"
    assert list_paths(listing, tmp_path) == []


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_single_file_with_images(tmp_path: Path, ending: str) -> None:
    path = hugging_face(tmp_path / f"mine.{ending}", [[0], [0, 1], []], ["cat", "dog"], patient=["p", "q", "q"])
    listing = list_source(path, ImageOptions(group_column="patient"))
    assert (list(listing.labels), listing.owners) == ([["cat"], ["cat", "dog"], []], ["p", "q", "q"])
    assert [listing.files.read(name) for name in listing.names] == [*map(encode, range(3))]
    with pytest.raises(UsageError, match="`class_level` is for files of images"):
        list_source(path, ImageOptions(class_level=1))
    with pytest.raises(
        NotFoundError, match="'label' holds no images; set `path_column` to one of those that do: image"
    ):
        list_source(path, ImageOptions(path_column="label"))


def test_a_saved_data_set(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        hugging_face(tmp_path / split / "data-00000-of-00001.arrow", [0, 1], ["cat", "dog"])
        write(tmp_path / split / "state.json", "{}")
    listing = list_source(tmp_path)
    assert (list(listing.labels), listing.splits.tolist()) == (["cat", "dog", "cat", "dog"], [0, 0, 1, 1])


def test_parquet_that_is_wrong(tmp_path: Path) -> None:
    path = hugging_face(tmp_path / "a/train.parquet", [0, 1])
    pq.write_table(pa.table({"image": [{"bytes": PNG, "path": ""}], "other": [1]}), tmp_path / "a/test.parquet")
    with pytest.raises(DataError, match=r"the files of .* disagree: 'test.parquet' has no column label"):
        list_source(tmp_path / "a")
    (tmp_path / "a/test.parquet").unlink()
    pq.write_table(pa.table({"image": [{"bytes": None, "path": "far.png"}], "label": [1]}), path, row_group_size=1)
    listing = list_source(path)
    with pytest.raises(DataError, match="the row holds no bytes of an image"):
        listing.files.read(listing.names[0])
    hugging_face(tmp_path / "b/one.parquet", [0])
    hugging_face(tmp_path / "b/test.parquet", [0])
    with pytest.raises(DataError, match=r"none of them for train \(one.parquet, test.parquet\)"):
        list_source(tmp_path / "b")


def coco(*categories: tuple[str, ...]) -> str:
    names = sorted({name for own in categories for name in own})
    return json.dumps(
        {
            "info": {},
            "images": [{"id": index, "file_name": f"{index}.jpg"} for index in range(len(categories))],
            "annotations": [
                {"id": index, "image_id": index, "category_id": names.index(name) + 7}
                for index, own in enumerate(categories)
                for name in own
            ],
            "categories": [{"id": index + 7, "name": name} for index, name in enumerate(names)],
        }
    )


def test_coco_with_one_category_each(tmp_path: Path) -> None:
    put(tmp_path, "images/0.jpg", "images/1.jpg", "images/2.jpg")
    path = write(tmp_path / "annotations/labels.json", coco(("cat",), ("dog", "dog"), ()))
    for listing in (list_source(tmp_path), list_source(path), list_source(path, ImageOptions(image_dir="../images"))):
        assert list(listing.labels) == ["cat", "dog"]
        assert listing.found[0] == "train: labels.json: COCO, 3 images with their categories"
        assert [item.reason for item in listing.ignored] == ["no annotation"]
        assert listing.files.read(listing.names[1]) == PNG
    with pytest.raises(UsageError, match="`label_from` is not for COCO files"):
        list_source(path, ImageOptions(label_from="x"))


def test_coco_with_several_categories_and_splits(tmp_path: Path) -> None:
    for split, folder in (("train", "train2017"), ("val", "val2017")):
        put(tmp_path, f"{folder}/0.jpg", f"{folder}/1.jpg")
        write(tmp_path / f"annotations/instances_{folder}.json", coco(("dog", "cat"), (split,)))
        write(tmp_path / f"annotations/captions_{folder}.json", '{"images": [], "annotations": []}')
    listing = list_source(tmp_path)
    assert (list(listing.labels), listing.splits.tolist()) == (
        [["cat", "dog"], ["train"], ["cat", "dog"], ["val"]],
        [0, 0, 1, 1],
    )
    assert "2 images have several categories: the labels are lists, for multi-label" in listing.found
    put(tmp_path / "r", "train/0.jpg", "valid/0.jpg")  # Roboflow
    for split in ("train", "valid"):
        write(tmp_path / "r" / split / "_annotations.coco.json", coco(("cat",)))
    assert list_source(tmp_path / "r").splits.tolist() == [0, 1]


def test_coco_that_is_wrong(tmp_path: Path) -> None:
    put(tmp_path, "x/1.jpg")
    path = write(tmp_path / "c.json", coco(("cat",), ("dog",)))
    with pytest.raises(DataError, match=r"1 of 2 images that '.*c.json' names are not there, such as 0.jpg"):
        list_source(path)
    assert list(list_source(path, ImageOptions(table=SKIP)).labels) == ["dog"]
    write(path, '{"images": [{"id": 1}], "annotations": [], "categories": []}')
    with pytest.raises(DataError, match="not the COCO-style JSON that it looks like"):
        list_source(path)
