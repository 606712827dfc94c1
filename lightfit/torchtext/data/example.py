"""One row of a data set: what each field made of its column."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import Self

from lightfit.errors import DataError, clip, clip_list

BRACKETS_AND_WORDS = re.compile(r"\(\s*[^()\s]*|\)|[^()\s]+")  # an opening bracket with the label behind it


class Example:
    """A sample whose attributes are its fields, such as `example.text`."""

    def __getattr__(self, name: str) -> Any:
        """Explain an attribute that is not there."""
        raise AttributeError(
            f"an example has no `{name}`, only {clip_list(vars(self)) or 'nothing at all'}; an empty line or a row "
            "with fewer columns than `fields` makes such examples"
        )

    @classmethod
    def fromlist(cls, data: Sequence[Any], fields: Sequence[tuple[Any, Any]]) -> Self:
        """Make an example of the values of columns.

        Args:
            data: the values, in the order of `fields`.
            fields: (name, field) by column; (name, None) skips it, ((name, name), (field, field)) uses it twice.
        """
        example = cls()
        for (name, field), value in zip(fields, data, strict=False):
            if field is None:
                continue
            value = value.rstrip("\n") if isinstance(value, str) else value
            several = isinstance(name, tuple)
            example._add(zip(name, field, strict=True) if several else [(name, field)], value)
        return example

    @classmethod
    def fromdict(cls, data: Mapping[str, Any], fields: Mapping[str, Any]) -> Self:
        """Make an example of values by key.

        Args:
            data: the values.
            fields: by key (name, field), a list of them, or None.

        Raises:
            ValueError: a key of `fields` is missing.
        """
        example = cls()
        for key, targets in fields.items():
            example._add(_list_targets(targets), _look_up(data, key))
        return example

    @classmethod
    def fromCSV(  # noqa: N802 - as torchtext calls it
        cls, data: Sequence[str], fields: Any, field_to_index: Mapping[str, int] | None = None
    ) -> Self:
        """Make an example of a row; `field_to_index` is the position of each column where `fields` is a dict."""
        if field_to_index is None:
            return cls.fromlist(data, fields)
        return cls.fromdict({name: data[index] for name, index in field_to_index.items() if index < len(data)}, fields)

    @classmethod
    def fromJSON(cls, data: str, fields: Mapping[str, Any]) -> Self:  # noqa: N802 - as torchtext calls it
        """Make an example of a JSON object; the key `a.b` is `b` within `a`, in each item where `a` is a list.

        Raises:
            ValueError: it is no JSON, or a key of `fields` is missing.
        """
        values = json.loads(data)
        example = cls()
        for key, targets in fields.items():
            if targets is None:
                continue
            value = values
            for step in key.split("."):
                value = [_look_up(item, step) for item in value] if isinstance(value, list) else _look_up(value, step)
            example._add(_list_targets(targets), value)
        return example

    @classmethod
    def fromtree(cls, data: str, fields: Sequence[tuple[Any, Any]], subtrees: bool = False) -> "Self | list[Self]":
        """Make an example of the words and the label of a tree in brackets, such as `(3 (2 a) (4 film))`.

        Args:
            data: the tree.
            fields: (name, field) of the words, joined by spaces, and of the label.
            subtrees: return an example for the tree and one for each tree within it, from the left, outer ones first.

        Raises:
            ValueError: the brackets do not match.
        """
        trees = [cls.fromlist([" ".join(words), label], fields) for label, words in _parse_trees(data)]
        return trees if subtrees else trees[0]

    def _add(self, targets: Any, value: Any) -> None:
        for name, field in targets:
            setattr(self, name, field.preprocess(value))


def _list_targets(targets: Any) -> list[tuple[str, Any]]:
    if targets is None:
        return []
    return targets if isinstance(targets, list) else [targets]


def _look_up(data: Any, key: str) -> Any:
    if not isinstance(data, Mapping):
        raise DataError(f"expected an object with the key '{clip(key)}', received {clip(data)}")
    if key not in data:
        raise DataError(f"there is no key '{clip(key)}', only {clip_list(data)}")
    return data[key]


def _parse_trees(text: str) -> list[tuple[str, list[str]]]:
    """Return the label and the words of a tree and of those within it, in the order in which they begin."""
    trees: list[tuple[str, list[str]]] = []
    around: list[list[str]] = []  # the words of each tree that is open
    for token in BRACKETS_AND_WORDS.findall(text):
        if trees and not around:
            raise DataError(f"expected one tree in brackets, received more after it: {clip(text)}")
        if token[0] == "(":
            around.append([])
            trees.append((token[1:].strip(), around[-1]))
        elif not around:
            break
        elif token == ")":
            around.pop()
        else:
            for words in around:
                words.append(token)
    if around or not trees:
        raise DataError(f"expected a tree in brackets, such as (3 (2 a) (4 film)), received {clip(text) or 'nothing'}")
    return trees
