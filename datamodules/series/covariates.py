"""Covariates as columns of numbers: categories of texts, booleans, static ones by series, and holidays."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype
from typing_extensions import Self

from lightfit.errors import DataError, clip, clip_list
from lightfit.extras import importing_extra

from .numbers import holds_numbers, read_numbers

Kind = Literal["number", "boolean", "category"]
MAX_CATEGORIES = 20  # that have a column of their own; the others share one
OTHER = "other"
NEITHER = 0.5  # of an unknown category where there are two, in one column


@dataclass(frozen=True)
class Covariate:
    """A column of a table as columns of numbers.

    Args:
        name: name of the column.
        kind: number, boolean or category.
        values: the categories that have a column; of two that fill all cells the second one alone.
        rare: the categories that share the column `other`.
        first: of two categories, the one that is 0; None: an empty cell is 0 in all columns.
    """

    name: str
    kind: Kind = "number"
    values: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    first: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of its columns of numbers."""
        if self.kind != "category":
            return (self.name,)
        columns = (*self.values, *([OTHER] if self.rare else []))
        return tuple(f"{self.name}={value}" for value in columns)


class Encoded(NamedTuple):
    """Covariates as numbers.

    Args:
        values: the columns in order of `Covariates.names`, (N, K), NaN where a number is missing.
        unknown: number of cells by column that hold a category which the training rows lack.
        unseen: what is unknown, in one line for each column.
    """

    values: NDArray[np.float64]
    unknown: dict[str, int]
    unseen: list[str]


@dataclass(frozen=True, kw_only=True)
class Covariates:
    """How the covariates of a table become columns of numbers, learned from its training rows.

    Args:
        past: covariates that are known up to the forecast.
        known: covariates that are also known for the steps to forecast.
        static: covariates with one value a series.
        holidays: country, or country and state such as DE-BY, whose holidays are a known covariate; None: no holidays.
    """

    past: tuple[Covariate, ...] = ()
    known: tuple[Covariate, ...] = ()
    static: tuple[Covariate, ...] = ()
    holidays: str | None = None

    @classmethod
    def fit(cls, table: pd.DataFrame, roles: Any, *, holidays: str | None = None, place: str = "the table") -> Self:
        """Learn the categories of covariates.

        Args:
            table: the training rows.
            roles: `past`, `known` and `static` hold the names of columns.
            holidays: as the field.
            place: name of the table, for messages.

        Raises:
            DataError: a cell of a column of numbers is none.
            MissingPackageError: holidays are asked for, and the package is not installed.
            ValueError: the country is not known.
        """
        if holidays is not None:
            find_holidays(holidays, [2024])
        past, known, static = (
            tuple(_fit_column(table[name], name, place) for name in names)
            for names in (roles.past, roles.known, roles.static)
        )
        return cls(past=past, known=known, static=static, holidays=holidays)

    @classmethod
    def of_numbers(cls, past: Sequence[str], known: Sequence[str]) -> Self:
        """Return covariates that are numbers, as all were in older checkpoints."""
        return cls(past=tuple(map(Covariate, past)), known=tuple(map(Covariate, known)))

    @property
    def past_names(self) -> tuple[str, ...]:
        """Return the columns of numbers that are known up to the forecast."""
        return tuple(name for column in self.past for name in column.names)

    @property
    def known_names(self) -> tuple[str, ...]:
        """Return the columns of numbers that are also known for the steps to forecast, holidays last."""
        names = [name for column in self.known for name in column.names]
        return (*names, *self.derived_names)

    @property
    def derived_names(self) -> tuple[str, ...]:
        """Return the columns that are computed from time stamps."""
        return (f"holiday ({self.holidays})",) if self.holidays is not None else ()

    @property
    def static_names(self) -> tuple[str, ...]:
        """Return the columns of numbers with one value a series."""
        return tuple(name for column in self.static for name in column.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Return all columns of numbers: past, known, static."""
        return self.past_names + self.known_names + self.static_names

    def encode(self, table: pd.DataFrame, place: str = "the table") -> Encoded:
        """Encode the rows of a table; columns that are computed from time stamps are NaN, see `add_derived`.

        Args:
            table: the rows.
            place: name of the table, for messages.

        Raises:
            DataError: a cell of a column of numbers is none.
        """
        values = np.full((len(table), len(self.names)), np.nan)
        unknown: dict[str, int] = {}
        unseen, start = [], 0
        num_ahead = len(self.past_names) + len(self.known_names)
        for index, column in enumerate((*self.past, *self.known, *self.static)):
            if index == len(self.past) + len(self.known):
                start = num_ahead
            end = start + len(column.names)
            values[:, start:end], new = _encode_column(table[column.name], column, place)
            if new:
                unknown[column.name] = sum(new.values())
                unseen.append(
                    f"{unknown[column.name]:,} cells of the column '{column.name}' hold categories that the training "
                    f"rows lack ({clip_list(new)}): they are unknown to the model"
                )
            start = end
        return Encoded(values, unknown, unseen)

    def add_derived(
        self, values: NDArray[np.float64], times: NDArray[np.datetime64], zone: str | None = None
    ) -> NDArray[np.float64]:
        """Return the known columns with those filled in that are computed from time stamps.

        Args:
            values: the columns `known_names`, (N, K).
            times: time stamps, (N,): in UTC if there is a zone.
            zone: time zone in which days are counted.
        """
        if self.holidays is None:
            return values
        days = pd.DatetimeIndex(times)
        if zone is not None:
            days = days.tz_localize("UTC").tz_convert(zone).tz_localize(None)
        dates = days.to_numpy().astype("datetime64[D]")
        distinct, codes = np.unique(dates, return_inverse=True)
        known = distinct[~np.isnat(distinct)]
        years = np.unique(known.astype("datetime64[Y]").astype(int) + 1970).tolist()
        free = np.array(sorted(find_holidays(self.holidays, years)), "datetime64[D]")
        filled = values.copy()
        filled[:, -1] = np.isin(distinct, free)[codes.ravel()]
        return filled

    def to_dict(self) -> dict[str, Any]:
        """Return the covariates as plain data."""
        columns = {role: [asdict(column) for column in getattr(self, role)] for role in ("past", "known", "static")}
        for column in (column for own in columns.values() for column in own):
            column.update(values=list(column["values"]), rare=list(column["rare"]))
        return {**columns, "holidays": self.holidays}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Build covariates from the return value of `to_dict`."""
        past, known, static = (
            tuple(
                Covariate(
                    name=str(column["name"]),
                    kind=column.get("kind", "number"),
                    values=tuple(map(str, column.get("values", ()))),
                    rare=tuple(map(str, column.get("rare", ()))),
                    first=column.get("first"),
                )
                for column in state.get(role, ())
            )
            for role in ("past", "known", "static")
        )
        return cls(past=past, known=known, static=static, holidays=state.get("holidays"))


def is_boolean(column: pd.Series) -> bool:
    """Return whether a column holds booleans, some of which may be missing."""
    if is_bool_dtype(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if column.dtype != object:
        return False
    return pd.api.types.infer_dtype(column, skipna=True) == "boolean"


def as_texts(column: pd.Series) -> pd.Series:
    """Return the cells of a column as texts, the same for 1, 1.0 and "1"; None where they are empty."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    codes, distinct = pd.factorize(column.to_numpy(object))
    texts = [
        str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip() for cell in distinct
    ]
    return pd.Series(np.array([*texts, None], object)[codes], index=column.index, dtype=object)


def find_holidays(country: str, years: Sequence[int]) -> set[Any]:
    """Return the dates of the holidays of a country.

    Args:
        country: ISO code such as DE, or one with a subdivision such as DE-BY or US-CA.
        years: the years.

    Raises:
        MissingPackageError: the package is not installed.
        DataError: the country is not known.
    """
    with importing_extra("`holidays`", otherwise="leave `holidays` out"):
        import holidays
    code, _, subdivision = country.partition("-")
    try:
        return set(holidays.country_holidays(code.upper(), subdiv=subdivision.upper() or None, years=list(years)))
    except NotImplementedError as error:
        raise DataError(
            f"expected `holidays` as the code of a country, or with a state, such as DE or DE-BY, received '{country}'"
        ) from error


def _fit_column(column: pd.Series, name: str, place: str) -> Covariate:
    if is_boolean(column):
        return Covariate(name, "boolean")
    if pd.api.types.is_datetime64_any_dtype(column):
        raise DataError(
            f"{place}: the column '{name}' holds time stamps; expected a covariate of numbers or categories"
        )
    if holds_numbers(column) or column.isna().all():
        read_numbers(column, place, name)
        return Covariate(name)
    texts = as_texts(column)
    counts = texts.value_counts()
    names = sorted(counts.index, key=lambda value: (-counts[value], value))
    if len(names) == 2 and not texts.isna().any():
        first, second = sorted(names)
        return Covariate(name, "category", (second,), (), first)
    return Covariate(name, "category", tuple(names[:MAX_CATEGORIES]), tuple(sorted(names[MAX_CATEGORIES:])))


def _encode_column(column: pd.Series, fitted: Covariate, place: str) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Return the columns of numbers of a column, (N, K), and how often each unknown category occurs."""
    if fitted.kind == "number":
        return read_numbers(column, place, fitted.name)[:, None], {}
    if fitted.kind == "boolean":
        return _encode_booleans(column, fitted.name, place)[:, None], {}
    num_columns = len(fitted.names)
    codes, distinct = pd.factorize(as_texts(column).to_numpy(object))
    rows = np.zeros((len(distinct) + 1, num_columns))  # the last one is that of empty cells
    unknown = []
    for index, text in enumerate(distinct):
        if text in fitted.values:
            rows[index, fitted.values.index(text)] = 1.0
        elif text in fitted.rare:
            rows[index, -1] = 1.0
        elif text != fitted.first:
            unknown.append(index)
            rows[index] = NEITHER if fitted.first is not None else 0.0
    if fitted.first is not None:
        rows[-1] = NEITHER
    counts = np.bincount(codes[codes >= 0], minlength=len(distinct))
    return rows[codes], {clip(str(distinct[index]), 30): int(counts[index]) for index in unknown}


_WORDS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "yes": 1.0, "no": 0.0}


def _encode_booleans(column: pd.Series, name: str, place: str) -> NDArray[np.float64]:
    codes, distinct = pd.factorize(as_texts(column).to_numpy(object))
    values = np.array([*(_WORDS.get(text.lower(), np.inf) for text in distinct), np.nan])[codes]
    if (wrong := np.isinf(values)).any():
        row = int(wrong.argmax())
        raise DataError(
            f"{place}, row {row + 1}: '{clip(str(column.iloc[row]))}' in the column '{name}'; expected true or false, "
            "as in training"
        )
    return values
