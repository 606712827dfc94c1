"""The table of a net's layers, as torchkeras 2.x printed it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightfit.errors import UsageError

WIDTH = 64
MEGABYTE = 2**20


class Layer(NamedTuple):
    """A line of the table.

    Args:
        name: class and index.
        shape: of its output, -1 for the batch.
        num_params: of its own.
    """

    name: str
    shape: list[int]
    num_params: int


def summary(
    model: nn.Module,
    input_data: Any = None,
    input_data_args: Sequence[Any] | None = None,
    input_shape: Any = None,
    input_dtype: Any = torch.FloatTensor,
    batch_size: int = -1,
    *args: Any,
    **kwargs: Any,
) -> str:
    """Print the layers of a net with the shapes of their outputs and their parameters, and return what was printed.

    The net is run once, in evaluation mode, without gradients and without touching the random state. Sizes are those of
    one sample, at 4 bytes a number. A parameter is counted once, in whatever module it lies and however often that is
    called.

    Args:
        model: the net.
        input_data: an input, with the batch's dimension; or the shape of one sample, as in `input_shape`.
        input_data_args: several inputs.
        input_shape: shape of one sample, such as `(3, 32, 32)`; several inputs: a list of shapes.
        input_dtype: of the input that is made for `input_shape`: a dtype, or a type such as `torch.LongTensor`.
        batch_size: what the table shows as the batch's size.
        *args: further arguments of the net.
        **kwargs: further arguments of the net.

    Raises:
        UsageError: neither an input nor its shape is given.
    """
    if isinstance(input_data, (tuple, list)) and not any(isinstance(item, Tensor) for item in input_data):
        # The order of torchkeras 2.x: shape, dtype, size of the batch.
        input_dtype = input_dtype if input_data_args is None else input_data_args
        batch_size = batch_size if input_shape is None else input_shape
        input_data, input_data_args, input_shape = None, None, input_data
    inputs = _make_inputs(model, input_data, input_data_args, input_shape, input_dtype)
    layers = list[Layer]()
    with _in_evaluation(model), _recording(model, layers, batch_size):
        model(*inputs, *args, **kwargs)
    text = "\n".join(_draw(model, layers, [item for item in inputs if isinstance(item, Tensor)]))
    print(text)
    return text


def _make_inputs(model: nn.Module, data: Any, several: Any, shape: Any, dtype: Any) -> list[Any]:
    if data is not None:
        return [data]
    if several is not None:
        return list(several)
    if shape is None:
        raise UsageError("expected an input as `input_data`, or a sample's shape as `input_shape`; received neither")
    shapes = [shape] if all(isinstance(size, int) for size in shape) else list(shape)
    device = next((item.device for item in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    # Two samples, as batch norm has no variance of one; zeros are valid ids of an embedding.
    zeros = [torch.zeros(2, *sizes) for sizes in shapes]
    return [(item.to(dtype) if isinstance(dtype, torch.dtype) else item.type(dtype)).to(device) for item in zeros]


@contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _recording(model: nn.Module, layers: list[Layer], batch_size: int) -> Iterator[None]:
    """Add a line whenever a module is called that has no children, or is attention, which computes with theirs."""

    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        shape = next((list(item.shape) for item in _list_tensors(output)), [])
        own = sum(parameter.numel() for parameter in module.parameters() if not is_lazy(parameter))
        name = f"{type(module).__name__}-{len(layers) + 1}"
        layers.append(Layer(name, [batch_size, *shape[1:]] if shape else shape, own))

    watched = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention) or not list(m.children())]
    hooks = [module.register_forward_hook(record) for module in watched]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _list_tensors(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of an output: of tuples, lists, dicts, and of a packed sequence its data."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (Mapping, tuple, list)):
        for item in output.values() if isinstance(output, Mapping) else output:
            yield from _list_tensors(item)


def _draw(model: nn.Module, layers: list[Layer], inputs: list[Tensor]) -> Iterator[str]:
    sizes = [(p.numel(), p.element_size(), p.requires_grad) for p in model.parameters() if not is_lazy(p)]
    total, trainable = sum(n for n, _, _ in sizes), sum(n for n, _, learns in sizes if learns)
    megabytes = {
        "Input size": 4 * sum(item[:1].numel() for item in inputs) / MEGABYTE,
        "Forward/backward pass size": 2 * 4 * sum(_count(layer.shape) for layer in layers) / MEGABYTE,
        "Params size": sum(n * size for n, size, _ in sizes) / MEGABYTE,
    }
    yield "-" * WIDTH
    yield f"{'Layer (type)':>20}  {'Output Shape':>25} {'Param #':>15}"
    yield "=" * WIDTH
    for layer in layers:
        yield f"{layer.name:>20}  {layer.shape!s:>25} {layer.num_params:>15,}"
    yield "=" * WIDTH
    yield f"Total params: {total:,}"
    yield f"Trainable params: {trainable:,}"
    yield f"Non-trainable params: {total - trainable:,}"
    yield "-" * WIDTH
    yield from (f"{name} (MB): {size:.6f}" for name, size in megabytes.items())
    yield f"Estimated Total Size (MB): {sum(megabytes.values()):.6f}"
    yield "-" * WIDTH


def _count(shape: list[int]) -> int:
    """Count the numbers of one sample's output."""
    count = 1
    for size in shape[1:]:
        count *= size
    return count if shape else 0
