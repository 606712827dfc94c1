"""The packages that extras of LightFit install, and the error where one is missing.

`pip install lightfit` installs what LightModel needs. What reads images, texts or series, what draws, and the command
line are extras, so that a project that imports a few classes installs only what these use.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lightfit.errors import MissingPackageError

TABLES = ("text", "series", "images", "tables")
# By module: the package that pip installs, and the extras that bring it, the likeliest first.
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "IPython": ("ipython", ("cli",)),
    "PIL": ("pillow", ("images", "pictures", "cli")),
    "captum": ("captum", ("pictures", "cli")),
    "charset_normalizer": ("charset-normalizer", TABLES),
    "cleanlab": ("cleanlab", ("labels",)),
    "copier": ("copier", ("new",)),
    "fastapi": ("fastapi", ("serve",)),
    "fastapi_offline": ("fastapi-offline", ("serve",)),
    "holidays": ("holidays", ("holidays",)),
    "huggingface_hub": ("huggingface-hub", ("pretrained",)),
    "jinja2": ("jinja2", ("cli",)),
    "jsonargparse": ("jsonargparse", ("cli",)),
    "markdown_it": ("markdown-it-py", ("serve",)),
    "matplotlib": ("matplotlib", ("pictures", "cli")),
    "mlflow": ("mlflow-skinny", ("mlflow",)),
    "onnx": ("onnx", ("export",)),
    "onnxruntime": ("onnxruntime", ("export",)),
    "onnxscript": ("onnxscript", ("export",)),
    "optuna": ("optuna", ("tune",)),
    "pillow_heif": ("pillow-heif", ("formats",)),
    "prometheus_client": ("prometheus-client", ("serve",)),
    "pyarrow": ("pyarrow", TABLES),
    "pydicom": ("pydicom", ("formats",)),
    "python_calamine": ("python-calamine", TABLES),
    "ray": ("ray", ("ray",)),
    "scipy": ("scipy", ("pictures", "cli")),
    "simplejpeg": ("simplejpeg", ("images",)),
    "sklearn": ("scikit-learn", ("cli", "data")),
    "statsforecast": ("statsforecast", ("statistics",)),
    "tensorboard": ("tensorboard", ("cli",)),
    "tifffile": ("tifffile", ("formats",)),
    "timm": ("timm", ("pretrained",)),
    "tokenizers": ("tokenizers", ("pretrained",)),
    "torchkeras": ("torchkeras", ("cli",)),
    "torchtext": ("torchtext", ("torchtext",)),
    "torchvision": ("torchvision", ("images",)),
    "transformers": ("transformers", ("pretrained",)),
    "uvicorn": ("uvicorn", ("serve",)),
    "wandb": ("wandb", ("wandb",)),
    "xlsxwriter": ("xlsxwriter", TABLES),
    "yaml": ("pyyaml", ("cli",)),
    "zstandard": ("zstandard", TABLES),
}

# The extra that the modules below a folder need.
FOLDERS = {"images": "images", "text": "text", "torchtext": "text", "series": "series", "pictures": "pictures"}


def find_extra(module: str) -> str:
    """Return the extra that a module of LightFit needs, by its folder; empty for one that needs none."""
    return next((FOLDERS[folder] for folder in module.split(".") if folder in FOLDERS), "")


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra, installed or in a clone."""
    return f"pip install 'lightfit[{extra}]', or in a clone pip install -e '.[{extra}]'"


def missing_package(module: str, *, what: str = "this", extra: str = "", otherwise: str = "") -> MissingPackageError:
    """Return the error for a module of another package that is not installed.

    Args:
        module: its full name, such as `PIL.Image`.
        what: what needs it, the beginning of the sentence.
        extra: which extra to name, if several bring the package; by default the likeliest.
        otherwise: what to do instead, such as "leave `holidays` out".
    """
    package, extras = PACKAGES[module.partition(".")[0]]
    chosen = extra if extra in extras else extras[0]
    end = f"; or {otherwise}" if otherwise else ""
    return MissingPackageError(
        f"{what} needs {package}, which is not installed: {how_to_install(chosen)}{end}", name=module
    )


@contextmanager
def importing_extra(what: str = "this", *, extra: str = "", otherwise: str = "") -> Iterator[None]:
    """Raise MissingPackageError where a package of an extra is not installed; a context for the imports of one.

    Args:
        what: as in `missing_package`.
        extra: as in `missing_package`.
        otherwise: as in `missing_package`.

    Raises:
        MissingPackageError: a package is not installed, and the message names the extra that installs it.
    """
    try:
        yield
    except MissingPackageError:
        raise
    except ModuleNotFoundError as error:
        if not is_of_extra(error):
            raise
        raise missing_package(str(error.name), what=what, extra=extra, otherwise=otherwise) from error


def is_of_extra(error: ModuleNotFoundError) -> bool:
    """Return whether the module that was not found is of a package that an extra installs, and is missing whole."""
    return error.name in PACKAGES
