"""A chain of functions, each applied to a value or to every item of a list."""

from collections.abc import Callable
from typing import Any


class Pipeline:
    """A function that other functions may be put before and after.

    Args:
        convert_token: function of one token, and of the further arguments of the call; None: the token as it is.

    Raises:
        ValueError: it is no function.
    """

    def __init__(self, convert_token: Callable[..., Any] | None = None) -> None:
        if convert_token is not None and not callable(convert_token):
            raise ValueError(f"expected `convert_token` as a function of a token, received {convert_token!r}")
        self.convert_token = convert_token or self.identity
        self.pipes = [self]

    def __call__(self, x: Any, *args: Any) -> Any:
        """Apply all functions in their order."""
        for pipe in self.pipes:
            x = pipe.call(x, *args)
        return x

    def call(self, x: Any, *args: Any) -> Any:
        """Apply the function of this pipeline alone, to each item if `x` is a list."""
        return [self.convert_token(item, *args) for item in x] if isinstance(x, list) else self.convert_token(x, *args)

    def add_before(self, pipeline: "Pipeline | Callable[..., Any]") -> "Pipeline":
        """Put a function or a pipeline before this one, and return this one."""
        self.pipes = [*_as_pipes(pipeline), *self.pipes]
        return self

    def add_after(self, pipeline: "Pipeline | Callable[..., Any]") -> "Pipeline":
        """Put a function or a pipeline after this one, and return this one."""
        self.pipes = [*self.pipes, *_as_pipes(pipeline)]
        return self

    @staticmethod
    def identity(x: Any) -> Any:
        """Return what is passed."""
        return x


def _as_pipes(pipeline: Pipeline | Callable[..., Any]) -> list[Pipeline]:
    return (pipeline if isinstance(pipeline, Pipeline) else Pipeline(pipeline)).pipes
