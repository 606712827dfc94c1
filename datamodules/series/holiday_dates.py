"""Holidays by the code of a country or an exchange: no steps of a calendar, or a covariate that is known ahead."""

from collections.abc import Iterable
from datetime import date

from lightfit.errors import UsageError, clip
from lightfit.extras import importing_extra


def find_holidays(code: str, years: Iterable[int]) -> set[date]:
    """Return the holidays of a country (DE), a part of it (US-NY) or an exchange (NYSE).

    Args:
        code: the code, as of the package `holidays`.
        years: the years.

    Raises:
        UsageError: the code is not known.
        MissingPackageError: the package is not installed.
    """
    with importing_extra("`holidays`", otherwise="leave `holidays` out"):
        import holidays
    country, _, subdivision = code.strip().upper().partition("-")
    try:
        if country in holidays.list_supported_financial():
            return set(holidays.financial_holidays(country, years=list(years)))
        return set(holidays.country_holidays(country, subdiv=subdivision or None, years=list(years)))
    except NotImplementedError as error:
        raise UsageError(
            "expected `holidays` as the code of a country (DE), of a part of it (US-NY), or of an exchange (NYSE) of "
            f"the package holidays; received '{clip(code)}'"
        ) from error
