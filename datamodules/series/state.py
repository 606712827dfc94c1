"""The fitted state of a series codec: columns, steps, scaling and sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from lightfit.errors import CheckpointError

from .calendar import Calendar, find_calendar
from .covariates import Covariates
from .roles import Roles
from .scaler import Scale
from .stamps import StampOptions
from .windows import InputLayout

MOST_CELLS = 50_000_000  # largest number of values in a window, steps times columns


@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesState:
    """What was learned of series in training, by which windows are encoded and forecasts decoded.

    Args:
        roles: roles of the columns of the table.
        covariates: how columns that are no numbers become numbers.
        calendar: the steps; of older checkpoints their frequency alone.
        stamps: how time stamps are read, with the format that was found as the likely one.
        zone: time zone of the time stamps; None: they have none.
        season: number of steps in a season.
        lookback: number of past steps in the net's input.
        horizon: number of steps to forecast.
        names: names of the series in training.
        scale: scaling of each series.
        masked: whether the net's input has masks of missing values.
        lower: lowest value of each target, 0 for those that cannot be negative, -inf for others.
    """

    roles: Roles
    covariates: Covariates
    calendar: Calendar | str
    stamps: StampOptions
    zone: str | None
    season: int
    lookback: int
    horizon: int
    names: Sequence[str]
    scale: Scale
    masked: bool
    lower: Sequence[float]

    @property
    def num_targets(self) -> int:
        """Return the number of columns to forecast, C."""
        return len(self.roles.targets)

    @property
    def freq(self) -> str:
        """Return the name of the frequency of the steps."""
        return self.calendar if isinstance(self.calendar, str) else self.calendar.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns of numbers: targets, past, known, static."""
        return (*self.roles.targets, *self.covariates.names)

    @property
    def layout(self) -> InputLayout:
        """Return the columns of the net's input."""
        num_static = len(self.covariates.static_names)
        return InputLayout(
            num_values=len(self.columns) - num_static,
            num_known=len(self.covariates.known_names),
            num_static=num_static,
            horizon=self.horizon,
            masked=self.masked,
        )

    def calendar_of(self, times: NDArray[np.datetime64], starts: NDArray[np.int64], place: str) -> Calendar:
        """Return the calendar for new rows, with the holidays that they show.

        Args:
            times: time stamps of all series, one after the other, (N,).
            starts: first row of each series, and the number of rows, (S + 1,).
            place: name of the table, for messages.

        Raises:
            DataError: an older checkpoint holds the frequency alone, and the time stamps do not have it.
        """
        if isinstance(self.calendar, str):
            return find_calendar(times, starts, freq=self.calendar, zone=self.zone, place=place)
        return self.calendar.learn_holidays(times, starts)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "roles": {name: list(value) for name, value in self.roles._asdict().items()},
            "covariates": self.covariates.to_dict(),
            "calendar": self.calendar if isinstance(self.calendar, str) else self.calendar.to_dict(),
            "stamps": asdict(self.stamps),
            "zone": self.zone,
            "season": self.season,
            "lookback": self.lookback,
            "horizon": self.horizon,
            "names": list(self.names),
            "masked": self.masked,
            "lower": [None if value == -np.inf else value for value in self.lower],
            **self.scale.to_dict(),
        }

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Self:
        """Build a state from the return value of `to_dict`, or from that of checkpoints before calendars.

        Raises:
            CheckpointError: the windows exceed `MOST_CELLS` values.
        """
        roles = Roles(**{name: _as_names(value) for name, value in held["roles"].items()})
        calendar = held["calendar"] if "calendar" in held else held["freq"]
        state = cls(
            roles=roles,
            covariates=Covariates.from_dict(held["covariates"])
            if "covariates" in held
            else Covariates.of_numbers(roles.past, roles.known),
            calendar=calendar if isinstance(calendar, str) else Calendar.from_dict(calendar),
            stamps=StampOptions(**held.get("stamps", {})),
            zone=held.get("zone"),
            season=int(held["season"]),
            lookback=int(held["lookback"]),
            horizon=int(held["horizon"]),
            names=[str(name) for name in held["names"]],
            scale=Scale.from_dict(held),
            masked=bool(held["masked"] if "masked" in held else held.get("fill") == "mask"),
            lower=[
                -np.inf if value is None else float(value) for value in held.get("lower") or [None] * len(roles.targets)
            ],
        )
        if max(state.lookback, state.horizon) * max(state.layout.num_features, 1) > MOST_CELLS:
            raise CheckpointError(
                f"the checkpoint's windows have {state.lookback:,} and {state.horizon:,} steps: it is damaged or forged"
            )
        return state


def _as_names(value: Any) -> tuple[str, ...]:
    """Return names; older checkpoints hold one name, or None."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))
