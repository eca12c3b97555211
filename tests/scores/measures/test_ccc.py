"""CCC against audmetric and by hand."""

from __future__ import annotations

import audmetric
import numpy as np
import pytest

from emobridge.errors import UserError
from emobridge.scores.measures.ccc import Ccc

ccc = Ccc()


def test_it_has_population_moments():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=12), rng.normal(0.7, 1, size=12)

    def by_hand(ddof):
        covariance = np.cov(x, y, ddof=ddof)[0, 1]
        return 2 * covariance / (x.var(ddof=ddof) + y.var(ddof=ddof) + (x.mean() - y.mean()) ** 2)

    assert ccc(x, y) == pytest.approx(by_hand(0), abs=1e-12)
    assert ccc(x, y) == pytest.approx(audmetric.concordance_cc(x, y))
    assert abs(ccc(x, y) - by_hand(1)) > 1e-3
    assert ccc(x, x) == pytest.approx(1)
    assert ccc([0, 1, 2], [0, 1, 1]) == pytest.approx(2 / 3)
    assert ccc(1e6 + x, 1e6 + y) == pytest.approx(by_hand(0), abs=1e-8), "far from zero no digits are lost"


def test_where_it_is_not_defined():
    assert np.isnan(ccc([0.5], [0.4])), "one value"
    assert np.isnan(ccc([], []))
    assert np.isnan(ccc([0.3, 0.3], [0.3, 0.3])), "0/0"
    assert ccc([0.1, 0.5], [0.3, 0.3]) == pytest.approx(0, abs=1e-12)
    assert ccc([0.1, np.nan, 0.5], [0.2, 9.0, 0.4]) == pytest.approx(ccc([0.1, 0.5], [0.2, 0.4])), "one is not known"


def test_its_chance_and_its_mistakes():
    assert ccc.chance(3) == 0
    with pytest.raises(UserError, match="2 true values but 1 predicted"):
        ccc([0.0, 1.0], [0.0])
