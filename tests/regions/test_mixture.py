"""Mixtures: one step against plain loops, the fit against scikit-learn's."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from agnet_vision.regions import mixture
from agnet_vision.regions.grouping import whiten
from agnet_vision.regions.mixture import fit_mixtures, pad_statistics
from tests.regions import reference as reference_regions
from tests.regions.test_grouping import clouds


def test_value_one_em_step_equals_plain_loops():
    rng = np.random.default_rng(1)
    points, share = rng.normal(size=(20, 2)), rng.dirichlet(np.ones(3), 20)
    statistics = torch.from_numpy(pad_statistics([points], 32))
    padded = torch.zeros(1, 3, 32, dtype=torch.float64)
    padded[0, :, :20] = torch.from_numpy(share.T)
    responsibilities, density = mixture.expect(mixture.maximize(padded, statistics), statistics)
    expected, expected_density = reference_regions.em_step(points, share, mixture.REGULARIZATION)
    np.testing.assert_allclose(responsibilities[0, :, :20].numpy().T, expected, atol=1e-9)
    np.testing.assert_allclose(density[0, :20].numpy(), expected_density, atol=1e-9)


def test_value_likelihood_never_falls_along_the_iterations(monkeypatch):
    points = [whiten(clouds(seed, 120)) for seed in range(6)]
    statistics = torch.from_numpy(pad_statistics(points, 128))
    previous = torch.full((6,), -math.inf, dtype=torch.float64)
    for iterations in (1, 2, 3, 5, 8, 13, 21):
        monkeypatch.setattr(mixture, "MAX_ITERATIONS", iterations)
        _, found = fit_mixtures(statistics, 8)
        assert (found >= previous - 1e-6).all()
        previous = found


def test_value_likelihood_as_good_as_scikit_learn():
    sets = [clouds(seed, 100 + 3 * seed) for seed in range(16)]
    ours, reference_scores = [], []
    for xy in sets:
        white = whiten(xy)
        _, likelihood = fit_mixtures(torch.from_numpy(pad_statistics([white], 256)), 8)
        ours.append(float(likelihood))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence is not the question here
            reference = GaussianMixture(8, random_state=0, reg_covar=mixture.REGULARIZATION)
            reference_scores.append(reference.fit(white).score(white))
    assert np.mean(ours) > np.mean(reference_scores) - 0.02
