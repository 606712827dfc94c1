"""Modules of others that import far more than a command needs: they run when something asks for what needs that.

Lightning imports torchmetrics for two classes, and `torchmetrics/__init__.py` imports torchvision, scipy.signal and
matplotlib for metrics and plots that a run may never ask for. `postpone` has such a module answer for a few of its
names without running. Whatever else is asked of it, an attribute or a module below it, runs it first, unchanged:
nothing is missing, it is imported later. This is for a process that is a command of ours, never for one that imports
LightFit.
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
    """Postpone modules that this process has not imported yet.

    Args:
        modules: by full name, what each answers without running: names, and functions that return their values; by
            default those that cost a command most.
    """
    for name, answers in (POSTPONED if modules is None else modules).items():
        asked = any(isinstance(finder, _Postponed) and finder.name == name for finder in sys.meta_path)
        if name not in sys.modules and not asked:
            sys.meta_path.insert(0, _Postponed(name, answers))


class _Postponed(MetaPathFinder, Loader):
    """Finds and loads one module, which runs once that is needed.

    Args:
        name: its full name.
        answers: as in `postpone`.
    """

    def __init__(self, name: str, answers: Answers) -> None:
        self.name, self.answers = name, answers
        self.loader: Loader | None = None  # the module's own
        self.waiting = False  # it is imported, and has not run
        self.answering = False  # what an answer imports needs no run
        self.lock = RLock()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the module's spec, with this loader; for a module below it run it first."""
        if fullname == self.name and self.loader is None:
            spec = PathFinder.find_spec(fullname, path)
            if spec is None or spec.loader is None:
                return None
            self.loader, spec.loader = spec.loader, self
            return spec
        if fullname.startswith(f"{self.name}.") and self.waiting and not self.answering:
            self.run(sys.modules[self.name])
            if fullname in sys.modules:  # as the module has imported it
                return ModuleSpec(fullname, _Imported(sys.modules[fullname]))
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Have the module answer, instead of running it."""
        assert module.__spec__ is not None
        self.waiting = True
        module.__spec__.loader = module.__loader__ = self.loader
        module.__getattr__ = lambda name: self.answer(module, name)  # type: ignore[method-assign]
        module.__dir__ = lambda: self.list_names(module)  # type: ignore[method-assign]

    def list_names(self, module: ModuleType) -> list[str]:
        """Return the names of all that the module has."""
        self.run(module)
        return dir(module)

    def answer(self, module: ModuleType, name: str) -> Any:
        """Return an attribute that the module does not have yet.

        Raises:
            AttributeError: it has none of this name, even when it has run.
        """
        with self.lock:
            if name in self.answers and self.waiting:
                before, self.answering = self.answering, True
                try:
                    setattr(module, name, self.answers[name]())
                except (ImportError, AttributeError):  # another release of it, which needs more for this answer
                    self.answering = before
                    self.run(module)
                finally:
                    self.answering = before
            elif self.answering or name == "__path__":  # which the import system asks of what is no package
                raise AttributeError(f"module '{self.name}' has no attribute '{name}' before it runs")
            else:
                self.run(module)
        return getattr(module, name)

    def run(self, module: ModuleType) -> None:
        """Run the module, once."""
        with self.lock:
            if self.loader is not None and self.waiting:
                self.waiting = False
                sys.meta_path.remove(self)
                del module.__getattr__, module.__dir__
                self.loader.exec_module(module)


class _Imported(Loader):
    """Loads a module that was imported while it was being looked for.

    Args:
        module: the module.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module itself."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec again; it has run."""
        module.__spec__ = self.spec


def _from(module: str, name: str, *first: str) -> Callable[[], Any]:
    """Return a function that imports some modules, then a name from the last of them."""

    def answer() -> Any:
        return getattr([importlib.import_module(needed) for needed in (*first, module)][-1], name)

    return answer


class _IsAxes(type):
    def __instancecheck__(cls, instance: object) -> bool:
        # Nothing is one before matplotlib is imported.
        axes = sys.modules.get("matplotlib.axes")
        return axes is not None and isinstance(instance, axes.Axes)


class _Axes(metaclass=_IsAxes):
    """Stands for `matplotlib.axes.Axes` in the annotations of torchmetrics' classes and in `isinstance`."""


def _plot(*args: Any, **kwargs: Any) -> Any:
    """Plot as torchmetrics does, which imports matplotlib."""
    plot = importlib.import_module("torchmetrics.utilities.plot")
    plot.style_change  # noqa: B018 - runs the module: it answers for none but the three names below
    return plot.plot_single_or_multi_val(*args, **kwargs)


POSTPONED: dict[str, Answers] = {
    "torchmetrics": {
        # torchmetrics.utilities first, as in its own order: the two import each other.
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
