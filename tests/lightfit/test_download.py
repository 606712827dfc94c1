"""Downloads, from a server on this machine: checksums, whole files only, archives that stay in their folder."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from lightfit.datamodules import TextDataModule
from lightfit.datamodules.text import sources as text_sources
from lightfit.download import download, extract
from lightfit.errors import DataError


def make_archive(path: Path, members: dict[str, str]) -> str:
    """Write a tar.gz of these files; return its sha256."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_download_once(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    (folder / "a").write_bytes(b"hello")
    sha256 = hashlib.sha256(b"hello").hexdigest()
    path = download(f"{url}/a", tmp_path / "data" / "a", sha256=sha256, size_bytes=5)
    assert path.read_bytes() == b"hello"
    (folder / "a").unlink()
    assert download(f"{url}/a", path, sha256=sha256, size_bytes=5) == path
    assert [item.name for item in path.parent.glob("[!.]*")] == ["a"]


def test_other_checksum_leaves_nothing(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    (folder / "a").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"another checksum: expected sha256 0000, received 2cf24.* \(5 bytes\)"):
        download(f"{url}/a", tmp_path / "data" / "a", sha256="0000", size_bytes=5)
    assert list((tmp_path / "data").glob("[!.]*")) == []


def test_more_than_is_expected_is_not_kept(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    (folder / "a").write_bytes(b"hello" * 100_000)
    with pytest.raises(DataError, match="sends more than the 5 bytes that are expected"):
        download(f"{url}/a", tmp_path / "data" / "a", sha256="0000", size_bytes=5)
    assert list((tmp_path / "data").glob("[!.]*")) == []


def test_without_a_checksum_the_size_that_the_server_states_is_checked(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    url, folder = server
    (folder / "a").write_bytes(b"hello")
    assert download(f"{url}/a", tmp_path / "a").read_bytes() == b"hello"
    with pytest.raises(
        ConnectionError, match=r"the connection ended after 9 of 100 bytes.*by hand and run the command"
    ):
        download(f"{url}/short", tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["missing", "short"])
def test_failed_download_names_where_to_put_the_file(name: str, server: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=rf"could not download {server[0]}/{name} .*put the file at .*data/a'"):
        download(f"{server[0]}/{name}", tmp_path / "data" / "a", sha256="0000", size_bytes=100)
    assert list((tmp_path / "data").glob("[!.]*")) == []


def test_offline() -> None:
    with pytest.raises(ConnectionError, match=r"could not download https://ai.stanford.edu.*data/aclImdb_v1.tar.gz'"):
        TextDataModule("aclImdb").prepare_data()


def test_acl_imdb_from_download_to_batches(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    members = {
        f"aclImdb/{part}/{label}/{number}_7.txt": f"a {label} film {number} {part}"
        for part in ("train", "test")
        for label in ("pos", "neg")
        for number in range(10)
    }
    members["aclImdb/train/unsup/0_0.txt"] = "nobody knows"
    sha256 = make_archive(folder / "a.tar.gz", members)
    monkeypatch.setattr(text_sources, "ACL_IMDB_URL", f"{url}/a.tar.gz")
    monkeypatch.setattr(text_sources, "ACL_IMDB_SHA256", sha256)
    monkeypatch.setattr(text_sources, "ACL_IMDB_BYTES", (folder / "a.tar.gz").stat().st_size)
    data = TextDataModule("aclImdb")
    data.setup()
    assert [len(part) for part in (data.train_data, data.val_data, data.test_data or [])] == [16, 4, 20]
    assert data.codec.class_names == ["neg", "pos"]
    assert Path("data/aclImdb/train/unsup/0_0.txt").is_file()
    assert not list(Path("data").glob("*.part"))


@pytest.mark.parametrize("member", ["../out.txt", "/tmp/lightfit-out.txt", "aclImdb/../../out.txt"])
def test_archive_that_leaves_its_folder_is_refused(member: str, tmp_path: Path) -> None:
    make_archive(tmp_path / "a.tar.gz", {"aclImdb/a.txt": "fine", member: "not fine"})
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"a.tar.gz' (is refused|cannot be extracted)"):
        extract(tmp_path / "a.tar.gz", tmp_path / "data", member="aclImdb")
    assert list((tmp_path / "data").glob("[!.]*")) == []
    assert not Path("/tmp/lightfit-out.txt").exists()
    assert not (tmp_path / "out.txt").exists()


def test_damaged_archive(tmp_path: Path) -> None:
    make_archive(tmp_path / "a.tar.gz", {"aclImdb/a.txt": "fine" * 1000})
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be extracted"):
        extract(tmp_path / "a.tar.gz", tmp_path, member="aclImdb")
    assert [item.name for item in tmp_path.glob("[!.]*")] == ["a.tar.gz"]
