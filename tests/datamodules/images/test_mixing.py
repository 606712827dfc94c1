"""The Beta distribution that mixed images are drawn from."""

import numpy as np
import pytest

from lightfit.datamodules.images.mixing import find_beta_quantiles

stats = pytest.importorskip("scipy.stats")  # the reference


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 1.0, 1.5, 4.0, 30.0])
def test_quantiles_are_scipys_to_the_last_digit_of_float32(alpha: float) -> None:
    p = np.concatenate([np.random.default_rng(0).random(10_000), [0, 1e-12, 0.5, np.nextafter(0.5, 1), 1 - 2**-53]])
    expected = stats.beta.ppf(p, alpha, alpha)
    received = find_beta_quantiles(p, alpha)
    assert (received.astype(np.float32) == expected.astype(np.float32)).all()
    assert received == pytest.approx(expected, rel=1e-12)
