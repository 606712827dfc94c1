"""Ray's cluster: the one that is running, or processes of this machine."""

import os
import sysconfig
from pathlib import Path

import ray

import lightfit


def connect() -> None:
    """Connect to the cluster that the environment names, or start one on this machine; once in a process."""
    if not ray.is_initialized():
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(find_import_folders())}})


def find_import_folders() -> list[str]:
    """Return the folders that a worker imports from: the working directory, for custom classes, and LightFit's clone.

    Ray itself passes only the working directory and the folder of the script.
    """
    root = str(Path(lightfit.__file__).resolve().parents[1])
    installed = root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return list(dict.fromkeys([str(Path.cwd()), *([] if installed else [root]), *filter(None, given)]))
