"""Lazy imports of third-party modules that import far more than a command needs.

Lightning imports torchmetrics for two classes, and `torchmetrics/__init__.py` imports torchvision, scipy.signal and
matplotlib for metrics and plots that a run may never use. `postpone` delays the execution of such a module: a few of
its names are available at once, and any other attribute or submodule executes the module first, unchanged. So nothing
is missing, it is only imported later. Only LightFit's commands do this, never a process that imports LightFit.
"""

import importlib
import logging
import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

Answers = Mapping[str, Callable[[], Any]]


def postpone(modules: Mapping[str, Answers] | None = None) -> None:
    """Make modules execute lazily, unless this process has imported them already.

    Args:
        modules: for each full module name, the names that are available before the module executes, with functions
            that return their values; by default the slowest imports of a command.
    """
    for name, answers in (POSTPONED if modules is None else modules).items():
        installed = any(isinstance(finder, _Postponed) and finder.name == name for finder in sys.meta_path)
        if name not in sys.modules and not installed:
            sys.meta_path.insert(0, _Postponed(name, answers))


class _Postponed(MetaPathFinder, Loader):
    """Finder and loader of one module, which executes when it is first needed.

    Args:
        name: the full name of the module.
        answers: as in `postpone`.
    """

    def __init__(self, name: str, answers: Answers) -> None:
        self.name, self.answers = name, answers
        self.loader: Loader | None = None  # the module's original loader
        self.waiting = False  # imported, but not executed yet
        self.answering = False  # imports made by an answer do not execute the module
        self.lock = RLock()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of the module, with this loader; for a submodule, execute the module first."""
        if fullname == self.name and self.loader is None:
            spec = PathFinder.find_spec(fullname, path)
            if spec is None or spec.loader is None:
                return None
            self.loader, spec.loader = spec.loader, self
            return spec
        if fullname.startswith(f"{self.name}.") and self.waiting and not self.answering:
            self.run(sys.modules[self.name])
            if fullname in sys.modules:  # imported by the module itself
                return ModuleSpec(fullname, _Imported(sys.modules[fullname]))
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Set up the module to answer for its names, without executing it."""
        assert module.__spec__ is not None
        self.waiting = True
        module.__spec__.loader = module.__loader__ = self.loader
        module.__getattr__ = lambda name: self.answer(module, name)  # type: ignore[method-assign]
        module.__dir__ = lambda: self.list_names(module)  # type: ignore[method-assign]

    def list_names(self, module: ModuleType) -> list[str]:
        """Execute the module and return all its names."""
        self.run(module)
        return dir(module)

    def answer(self, module: ModuleType, name: str) -> Any:
        """Return an attribute that is not set yet, executing the module if needed.

        Raises:
            AttributeError: the executed module has no such attribute.
        """
        with self.lock:
            if name in self.answers and self.waiting:
                before, self.answering = self.answering, True
                try:
                    setattr(module, name, self.answers[name]())
                except (ImportError, AttributeError):  # another release, in which the answer needs the whole module
                    self.answering = before
                    self.run(module)
                finally:
                    self.answering = before
            elif self.answering or name == "__path__":  # looked up by the import system on any module
                raise AttributeError(f"module '{self.name}' has no attribute '{name}' before it is executed")
            else:
                self.run(module)
        return getattr(module, name)

    def run(self, module: ModuleType) -> None:
        """Execute the module, once."""
        with self.lock:
            if self.loader is not None and self.waiting:
                self.waiting = False
                sys.meta_path.remove(self)
                del module.__getattr__, module.__dir__
                self.loader.exec_module(module)


class _Imported(Loader):
    """Loader of a module that was imported while its spec was being looked up.

    Args:
        module: the imported module.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module itself."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the original spec of the module, which has been executed already."""
        module.__spec__ = self.spec


def _from(module: str, name: str, *first: str) -> Callable[[], Any]:
    """Return a function that imports the modules `first`, then returns a name from a module."""

    def answer() -> Any:
        return getattr([importlib.import_module(needed) for needed in (*first, module)][-1], name)

    return answer


class _IsAxes(type):
    def __instancecheck__(cls, instance: object) -> bool:
        # Before matplotlib is imported, no object can be an Axes.
        axes = sys.modules.get("matplotlib.axes")
        return axes is not None and isinstance(instance, axes.Axes)


class _Axes(metaclass=_IsAxes):
    """Placeholder of `matplotlib.axes.Axes` in annotations of torchmetrics and in `isinstance`."""


def _plot(*args: Any, **kwargs: Any) -> Any:
    """Plot with the function of torchmetrics, which imports matplotlib."""
    plot = importlib.import_module("torchmetrics.utilities.plot")
    plot.style_change  # noqa: B018 - executes the module, as this is none of the three names below
    return plot.plot_single_or_multi_val(*args, **kwargs)


POSTPONED: dict[str, Answers] = {
    "torchmetrics": {
        # torchmetrics.utilities first, as in torchmetrics itself: the two import each other.
        "Metric": _from("torchmetrics.metric", "Metric", "torchmetrics.utilities"),
        "MetricCollection": _from("torchmetrics.collections", "MetricCollection", "torchmetrics.utilities"),
        "__version__": _from("torchmetrics.__about__", "__version__"),
        "_logger": lambda: logging.getLogger("torchmetrics"),
    },
    "torchmetrics.utilities.plot": {
        "_AX_TYPE": lambda: _Axes,
        "_PLOT_OUT_TYPE": lambda: Any,
        "plot_single_or_multi_val": lambda: _plot,
    },
    "torchkeras": {"summary": _from("torchkeras.summary", "summary")},
}
