"""Data sets: examples with their fields, read from CSV, TSV and JSON files."""

import csv
import gzip
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch.utils.data
from typing_extensions import Self

from lightfit.errors import DataError, clip_list
from lightfit.files import whole_file

from ..utils import download_from_url, extract_archive, long_fields
from .example import Example
from .splitting import split_examples
from .utils import RandomShuffler

MANY_LINES = 100  # in one row of a CSV file, from which on a quote is probably never closed


class Dataset(torch.utils.data.Dataset[Example]):
    """Examples and their fields.

    Args:
        examples: the examples.
        fields: (name, field) by column, or by name; (name, None) for those skipped.
        filter_pred: function of an example that returns whether it is kept; None: all are.

    Attributes:
        examples: the examples, which `dataset[i]` and iteration return; `dataset.text` iterates over a column.
        fields: fields by name.
        sort_key: function of an example, for iterators that sort; usually the length of its text.
    """

    sort_key: Callable[[Any], Any] | None = None
    # Of a subclass whose files are downloaded: its folder below the root, where the files are in it, and their
    # addresses, each also as (address, name of the file).
    name: ClassVar[str]
    dirname: ClassVar[str]
    urls: ClassVar[Sequence[Any]]

    def __init__(self, examples: Any, fields: Any, filter_pred: Callable[[Any], bool] | None = None) -> None:
        if filter_pred is not None:
            kept = filter(filter_pred, examples)
            examples = list(kept) if isinstance(examples, list) else kept
        self.examples = examples
        self.fields: dict[str, Any] = {}
        for name, field in dict(fields).items():
            self.fields.update(zip(name, field, strict=True) if isinstance(name, tuple) else [(name, field)])

    @classmethod
    def splits(
        cls,
        path: Any = None,
        root: Any = ".data",
        train: str | None = None,
        validation: str | None = None,
        test: str | None = None,
        **kwargs: Any,
    ) -> tuple[Self, ...]:
        """Return the data sets of several files, of those named: train, validation, test.

        Args:
            path: their folder; by default that of `download`.
            root: folder for downloads.
            train: file name of the training split.
            validation: file name of the validation split.
            test: file name of the test split.
            **kwargs: of the data set, such as `fields`.
        """
        folder = cls.download(root) if path is None else path
        names = [name for name in (train, validation, test) if name is not None]
        return tuple(cls(os.path.join(folder, name), **kwargs) for name in names)

    def split(
        self,
        split_ratio: float | Sequence[float] = 0.7,
        stratified: bool = False,
        strata_field: str = "label",
        random_state: tuple[Any, ...] | None = None,
    ) -> tuple["Dataset", ...]:
        """Divide the examples at random into train, validation and test; empty ones are left out.

        Args:
            split_ratio: fraction of the training split, the rest being test; or the relative sizes of train, test and
                optionally validation, in this order.
            stratified: whether each label is divided by these ratios.
            strata_field: the field of that label.
            random_state: as of `random.getstate()`; None: the present one.

        Raises:
            ValueError: a ratio makes no sense, or there is no such field.
        """
        if stratified and strata_field not in self.fields:
            raise ValueError(f"there is no field '{strata_field}' for `strata_field`, only {clip_list(self.fields)}")
        train, test, val = split_examples(
            self.examples, split_ratio, RandomShuffler(random_state), strata_field if stratified else None
        )
        made = tuple(Dataset(examples, self.fields) for examples in (train, val, test) if examples)
        for dataset in made:
            dataset.sort_key = self.sort_key
        return made

    def __getitem__(self, i: int) -> Any:
        return self.examples[i]

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.examples)

    def __getattr__(self, attr: str) -> Iterator[Any]:
        """Return the values of a field, example by example."""
        fields = vars(self).get("fields", {})
        if attr not in fields:
            raise AttributeError(
                f"a {type(self).__name__} has no `{attr}`; its fields are {clip_list(fields) or 'none'}"
            )
        return (getattr(example, attr) for example in self.examples)

    @classmethod
    def download(cls, root: Any, check: Any = None) -> str:
        """Download and extract the files of `cls.urls`, and return the folder `cls.dirname` with them.

        Args:
            root: folder for downloads; the files lie in `root/cls.name`.
            check: a folder; if it is there, nothing is downloaded. By default the one that is returned.
        """
        folder = os.path.join(root, cls.name)
        extracted = os.path.join(folder, cls.dirname)
        if not os.path.isdir(extracted if check is None else check):
            for url in cls.urls:
                address, name = url if isinstance(url, tuple) else (url, os.path.basename(url))
                file = os.path.join(folder, name)
                if not os.path.isfile(file):
                    download_from_url(address, file)
                _extract(file, folder)
        return extracted

    def filter_examples(self, field_names: Iterable[str]) -> None:
        """Remove from each example the tokens that are not in the vocabulary.

        Args:
            field_names: fields to do this in.
        """
        for name in field_names:
            known = self.fields[name].vocab.stoi
            for example in self.examples:
                setattr(example, name, [token for token in getattr(example, name) if token in known])


class TabularDataset(Dataset):
    """A data set of a CSV, TSV or JSON file in UTF-8.

    Args:
        path: the file.
        format: csv, tsv, or json for an object a line.
        fields: (name, field) by column, in the order of the file; (name, None) skips one. Or a dict: by the name of a
            column, which the first row holds, or by the key of the JSON object, (name, field) or a list of them.
        skip_header: whether the first row is passed over.
        csv_reader_params: as of `csv.reader`; where quotes are part of the text, `{"quoting": csv.QUOTE_NONE}`.
        **kwargs: `filter_pred` of `Dataset`.

    Raises:
        ValueError: an argument makes no sense, the file is no UTF-8, or a row cannot be read.
    """

    def __init__(
        self,
        path: Any,
        format: str,
        fields: Any,
        skip_header: bool = False,
        csv_reader_params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kind = format.lower()
        if kind not in ("csv", "tsv", "json"):
            raise ValueError(f"expected `format` csv, tsv or json, received '{format}'")
        if kind == "json" and not isinstance(fields, Mapping):
            raise ValueError("expected `fields` as a dict from the keys of the JSON objects to (name, field)")
        if kind != "json" and isinstance(fields, Mapping) and skip_header:
            raise ValueError(
                "a dict of `fields` needs the names in the first row: leave `skip_header` out, or pass a list"
            )
        make: Callable[..., Example] = Example.fromJSON if kind == "json" else Example.fromCSV
        delimiter = {"delimiter": "\t"} if kind == "tsv" else {}
        file = Path(path).expanduser()
        rows = _read_rows(file, None if kind == "json" else {**delimiter, **(csv_reader_params or {})})
        if kind != "json" and isinstance(fields, Mapping):
            make = partial(make, field_to_index=_find_columns(next(rows, (1, []))[1], fields, file))
        elif skip_header:
            next(rows, None)
        examples = []
        for line, row in rows:
            try:
                examples.append(make(row, fields))
            except ValueError as error:
                raise DataError(f"'{file}', line {line}: {error}") from error
        if isinstance(fields, Mapping):
            targets = [item if isinstance(item, list) else [item] for item in fields.values() if item is not None]
            fields = [pair for pairs in targets for pair in pairs]
        super().__init__(examples, fields, **kwargs)


def _read_rows(path: Path, csv_params: Mapping[str, Any] | None) -> Iterator[tuple[int, Any]]:
    """Yield the rows of a file, or without `csv_params` its lines, each with the line on which it begins."""
    line = 0
    try:
        with path.open(encoding="utf-8-sig") as file, long_fields():
            if csv_params is None:
                for line, text in enumerate(file, 1):
                    yield line, text
                return
            reader = csv.reader(file, **csv_params)
            for row in reader:
                if reader.line_num - line > MANY_LINES:
                    warnings.warn(
                        f"'{path}', line {line + 1}: one row of {reader.line_num - line} lines; is a quote never "
                        "closed? Where quotes are part of the text, pass csv_reader_params={'quoting': csv.QUOTE_NONE}",
                        stacklevel=3,
                    )
                yield line + 1, row
                line = reader.line_num
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not in UTF-8, after line {line}: {error}; save it in UTF-8") from error
    except csv.Error as error:
        raise DataError(f"'{path}', line {line + 1}: {error}") from error


def _find_columns(header: Sequence[str], fields: Mapping[str, Any], path: Path) -> dict[str, int]:
    """Return the position of each column that `fields` names."""
    if missing := [name for name in fields if name not in header]:
        raise DataError(
            f"'{path}' has no column {clip_list(missing)} in its first row, only {clip_list(header) or 'none'}"
        )
    return {name: header.index(name) for name in fields}


def _extract(file: str, folder: str) -> None:
    if file.endswith((".zip", ".tar.gz", ".tgz")):
        extract_archive(file, folder, overwrite=True)
    elif file.endswith(".gz"):
        with (
            whole_file(Path(file).with_suffix("")) as unfinished,
            gzip.open(file) as packed,
            unfinished.open("wb") as out,
        ):
            shutil.copyfileobj(packed, out)
