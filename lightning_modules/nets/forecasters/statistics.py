"""AutoETS and AutoTheta of statsforecast, fitted to each window: slow, so candidates only where they are asked for.

Sources: Hyndman and Khandakar 2008, "Automatic Time Series Forecasting" (Journal of Statistical Software 27);
Fiorucci et al. 2016, "Models for optimising the theta method" (International Journal of Forecasting 32).
"""

import warnings

import numpy as np
import torch
from torch import Tensor

from lightfit.extras import importing_extra

from .history import History

MODELS = ("AutoETS", "AutoTheta")
FEWEST_STEPS = 4  # known ones, with which a model is fitted


def check_installed(names: tuple[str, ...]) -> None:
    """Check that statsforecast is there, if one of these candidates is of it.

    Raises:
        MissingPackageError: it is not installed.
    """
    if asked := [name for name in names if name in MODELS]:
        instead = "leave it out: smoothing and theta are much alike"
        with importing_extra(f"`candidates`: {', '.join(asked)}", otherwise=instead):
            import statsforecast  # noqa: F401


def forecast_by_model(name: str, history: History, horizon: int, season: int) -> Tensor:
    """Fit a model to the known steps of each window, and forecast, (B, C, P).

    Where it cannot be fitted, the last value is repeated.

    Args:
        name: `AutoETS` or `AutoTheta`.
        history: the windows.
        horizon: number of steps to forecast, P.
        season: number of steps in a season.
    """
    from statsforecast import models  # an extra

    build = getattr(models, name)
    values, known = (item.detach().cpu().double().flatten(0, 1).numpy() for item in history)
    forecasts = np.repeat(values[:, -1:], horizon, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about seasons that are too long
        for row, (window, present) in enumerate(zip(values, known, strict=True)):
            begin = int(present.argmax())
            if len(window) - begin < FEWEST_STEPS:
                continue
            try:
                found = build(season_length=season).forecast(window[begin:], horizon)["mean"]
            except Exception:  # of any kind, for windows that are constant or short
                continue
            if np.isfinite(found).all():
                forecasts[row] = found
    return torch.from_numpy(forecasts).to(history.values).unflatten(0, history.values.shape[:2])
