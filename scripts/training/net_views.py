"""The summary of a net, and its graph in TensorBoard."""

import contextlib
import copy
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightfit.lightning import pl

from ..cli.quiet import say


def summarise(net: nn.Module, x: Tensor) -> None:
    """Print torchkeras' summary of a net, with its parameters counted; `x` is a batch for it.

    torchkeras counts those of the modules without children that are called: none of a module that a function uses in
    its place (the projection of nn.MultiheadAttention), none that lie beside children (a class token), and those of a
    module that is called twice, twice. Its size of the input is that of the Python object.

    The summary runs the net, so it gets a copy and a forked rng: results do not depend on it.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # On import torchkeras prints which of its optional packages are missing, and uses deprecated names of torch.
        warnings.simplefilter("ignore")
        from torchkeras import summary
    table = io.StringIO()
    try:
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(table):
            summary(copy.deepcopy(net).eval(), input_data=x)
    except Exception as error:  # the net may run any code, and return what torchkeras does not know
        reason = str(error).strip().splitlines() or [type(error).__name__]
        print(f"no table of layers: {type(net).__name__} cannot be summarised ({reason[0]})")
        table = io.StringIO()
    print("\n".join(_correct(table.getvalue().splitlines(), net, x)))


def _correct(lines: list[str], net: nn.Module, x: Tensor) -> list[str]:
    """Replace the totals of a summary by those of the net; lists them alone if there is no summary."""
    sizes = [(p.numel(), p.element_size(), p.requires_grad) for p in net.parameters() if not is_lazy(p)]
    total, trainable = sum(n for n, _, _ in sizes), sum(n for n, _, learns in sizes if learns)
    megabytes = {
        "Input size (MB)": x.numel() * x.element_size() / 2**20,
        "Params size (MB)": sum(n * size for n, size, _ in sizes) / 2**20,
    }
    passes = [float(line.split(": ")[1]) for line in lines if line.startswith("Forward/backward")]
    megabytes["Estimated Total Size (MB)"] = sum([*megabytes.values(), *passes])
    counts = {
        "Total params": total,
        "Trainable params": trainable,
        "Non-trainable params": total - trainable,
    }
    own = {name: f"{name}: {count:,}" for name, count in counts.items()}
    own |= {name: f"{name}: {size:.6f}" for name, size in megabytes.items()}
    return [own.get(line.split(":")[0], line) for line in lines] or list(own.values())


def log_graph(trainer: pl.Trainer, net: nn.Module, x: Tensor) -> None:
    """Write the net's graph to TensorBoard, from a copy, so that the net and the random state do not change.

    If the net cannot be traced, a line is printed and the training continues.
    """
    for logger in trainer.loggers:
        if isinstance(logger, pl.loggers.TensorBoardLogger) and (reason := _add_graph(logger.experiment, net, x)):
            say(f"warning: no graph in TensorBoard: {type(net).__name__} cannot be traced ({reason})")


def _add_graph(writer: Any, net: nn.Module, x: Tensor) -> str:
    """Write a graph, and return why that failed, in a line; empty if it did not."""
    fused = torch.backends.mha.get_fastpath_enabled()
    with (
        warnings.catch_warnings(),  # that the trace may be wrong for other inputs; this one is only displayed
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),  # TensorBoard prints errors too
    ):
        warnings.simplefilter("ignore")
        try:
            # A layer of attention takes its fused operation when it is called, and another way when it is traced: the
            # tracer compares both, and raises.
            torch.backends.mha.set_fastpath_enabled(False)
            writer.add_graph(copy.deepcopy(net).eval(), x.clone())
        except (Exception, SystemExit) as error:  # the net may run any code
            text = str(error).strip()
            return text.splitlines()[0] if text else type(error).__name__
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
    return ""
