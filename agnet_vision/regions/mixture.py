"""Many small Gaussian mixtures fitted at once, in torch.

The fit is EM from a k-means start, on any device. Points are written as six sufficient statistics
``s = (1, x, y, x^2, x y, y^2)``. A component's log-density is linear in them, so the E step is
``coefficients @ s`` and the M step ``responsibilities @ s^T``: two matrix products for all images
together. An image leaves the batch when *it* has converged, and choices between equals take the
first within a tolerance far above rounding, so that no fit depends on its neighbors. Double
precision because narrow groups need it: the quadratic form cancels terms of 1e9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

# Ours: added to variances in whitened units; about 0.005 pixels wide on an image of 224 x 224.
REGULARIZATION = 1e-8
# Ours: stop when an iteration gains less log-likelihood per point; scikit-learn stops at 1e-3.
LIKELIHOOD_TOLERANCE = 5e-4
MAX_ITERATIONS = 100  # scikit-learn's
LLOYD_STEPS = 4  # ours: 16 gain nothing (docs/regions.md)
SEED_CANDIDATES = 4  # scikit-learn's 2 + log(kappa) for kappa = 8
TIE = 1e-9  # candidates closer than this count as equal, and the first one wins


def pad_statistics(
    points: Sequence[Float[np.ndarray, "_ 2"]], padded: int
) -> Float[np.ndarray, "batch 6 padded"]:
    """Write points as 1, x, y, x², xy and y², padded with zeros, which add nothing to any sum.

    Args:
        points: whitened positions of each image.
        padded: length of every row, at least that of the longest image.
    """
    statistics = np.zeros((len(points), 6, padded))
    for row, xy in zip(statistics, points, strict=True):
        x, y = xy.T
        row[:, : len(xy)] = (np.ones_like(x), x, y, x * x, x * y, y * y)
    return statistics


def fit_mixtures(
    statistics: Float[Tensor, "batch 6 points"], components: int, *, seed: int = 0
) -> tuple[Float[Tensor, "batch clusters 6"], Float[Tensor, " batch"]]:
    """Fit each image's full-covariance mixture by EM, to convergence.

    Args:
        statistics: points as ``pad_statistics`` writes them.
        components: number of components of each mixture.
        seed: seed of the k-means++ start.

    Returns:
        Log-weight plus log-density of each component as a linear form of the six statistics; and
        the mean log-likelihood of each image's points.
    """
    coefficients = maximize(_kmeans(statistics, components, seed), statistics)
    previous = statistics.new_full((len(statistics),), -math.inf)
    fitted, reached = coefficients.clone(), previous.clone()
    active = torch.arange(len(statistics), device=statistics.device)

    for _ in range(MAX_ITERATIONS):
        responsibilities, log_density = expect(coefficients, statistics)
        real = statistics[:, 0]
        log_likelihood = (log_density * real).sum(dim=1) / real.sum(dim=1)
        fitted[active] = coefficients
        reached[active] = log_likelihood

        rising = (log_likelihood - previous >= LIKELIHOOD_TOLERANCE).nonzero().squeeze(1)
        if not len(rising):
            break
        if len(rising) < len(active):
            active = active[rising]
            statistics = statistics[rising]
            log_likelihood = log_likelihood[rising]
            responsibilities = responsibilities[rising]
        coefficients = maximize(responsibilities, statistics)
        previous = log_likelihood

    return fitted, reached


def expect(
    coefficients: Float[Tensor, "batch clusters 6"], statistics: Float[Tensor, "batch 6 points"]
) -> tuple[Float[Tensor, "batch clusters points"], Float[Tensor, "batch points"]]:
    """Compute each component's share in each point, and the points' log-densities (E step).

    The shares of a point sum to one. What lies on padding means nothing.
    """
    log_joint = coefficients @ statistics
    peak = log_joint.amax(dim=1, keepdim=True)
    share = log_joint.sub_(peak).exp_()
    total = share.sum(dim=1, keepdim=True)
    return share.div_(total), (total.log() + peak).squeeze(1)


def maximize(
    responsibilities: Float[Tensor, "batch clusters points"],
    statistics: Float[Tensor, "batch 6 points"],
) -> Float[Tensor, "batch clusters 6"]:
    """Compute weights, means and covariances, as the linear form of the next E step (M step).

    Padding has no weight, whatever its shares.
    """
    sums = responsibilities @ statistics.transpose(1, 2)  # (batch, clusters, 6)
    mass = sums[..., :1] + 1e-12
    mean_x, mean_y, xx, xy, yy = (sums[..., 1:] / mass).unbind(-1)

    var_x = xx - mean_x * mean_x + REGULARIZATION
    var_y = yy - mean_y * mean_y + REGULARIZATION
    cov = xy - mean_x * mean_y
    determinant = var_x * var_y - cov * cov
    # The precision matrix (a, b; b, c).
    a = var_y / determinant
    b = -cov / determinant
    c = var_x / determinant

    weight = mass.squeeze(-1) / sums[..., :1].sum(dim=1)
    linear_x = a * mean_x + b * mean_y
    linear_y = b * mean_x + c * mean_y
    constant = weight.log() - 0.5 * determinant.log() - math.log(2 * math.pi)
    constant = constant - 0.5 * (linear_x * mean_x + linear_y * mean_y)
    return torch.stack([constant, linear_x, linear_y, -0.5 * a, -b, -0.5 * c], dim=-1)


def assign(
    coefficients: Float[Tensor, "batch clusters 6"], statistics: Float[Tensor, "batch 6 points"]
) -> Int[Tensor, "batch points"]:
    """Give each point to its most probable component, the first of equals."""
    return _first_largest(coefficients @ statistics)


def _first_largest(scores: Float[Tensor, "batch clusters points"]) -> Int[Tensor, "batch points"]:
    """Return the cluster with the largest score of each point, the first within ``TIE`` of it.

    ``argmax`` is 100 times slower over this dimension.
    """
    clusters = scores.shape[1]
    countdown = torch.arange(clusters, 0, -1, device=scores.device).view(1, -1, 1)
    equals = scores >= scores.amax(dim=1, keepdim=True) - TIE
    return clusters - (equals * countdown).amax(dim=1)


def _kmeans(
    statistics: Float[Tensor, "batch 6 points"], components: int, seed: int
) -> Float[Tensor, "batch clusters points"]:
    """Compute responsibilities of 0 and 1 by k-means++ and Lloyd's steps."""
    centers = _plus_plus(statistics, components, seed)
    real = statistics[:, :1]
    hard = torch.empty(0)

    for step in range(LLOYD_STEPS + 1):
        half_squares = -0.5 * centers.square().sum(dim=2, keepdim=True)
        form = torch.cat([half_squares, centers], dim=2)  # (batch, clusters, 3)
        nearest = _first_largest(form @ statistics[:, :3])
        hard = torch.zeros_like(statistics[:, :1].expand(-1, components, -1))
        hard = hard.scatter_(1, nearest.unsqueeze(1), 1) * real
        if step < LLOYD_STEPS:
            sums = hard @ statistics[:, :3].transpose(1, 2)
            mean = sums[..., 1:] / sums[..., :1].clamp_min(1)
            centers = torch.where(sums[..., :1] > 0, mean, centers)

    return hard


def _plus_plus(
    statistics: Float[Tensor, "batch 6 points"], components: int, seed: int
) -> Float[Tensor, "batch clusters 2"]:
    """Choose the starts of k-means, each the best of a few points drawn by squared distance."""
    draws = np.random.default_rng(seed).random((components, SEED_CANDIDATES))
    real = statistics[:, 0]  # (batch, points)
    xy = statistics[:, 1:3].transpose(1, 2)  # (batch, points, 2)
    count = real.sum(dim=1, keepdim=True)
    chosen = [_pick(xy, (draws[0, 0] * count).long())]
    distance = _squared_distance(xy, chosen[0]).squeeze(1) * real

    for draw in draws[1:]:
        cumulative = distance.cumsum(dim=1)
        target = cumulative[:, -1:] * torch.from_numpy(draw).to(real)
        index = torch.minimum(torch.searchsorted(cumulative, target, right=True), count.long() - 1)
        candidates = _pick(xy, index)
        nearer = torch.minimum(
            _squared_distance(xy, candidates) * real.unsqueeze(1), distance.unsqueeze(1)
        )
        best = _first_largest(-nearer.sum(dim=2, keepdim=True))  # (batch, 1)
        chosen.append(_pick(candidates, best))
        distance = nearer.gather(1, best.unsqueeze(2).expand(-1, -1, nearer.shape[2])).squeeze(1)

    return torch.cat(chosen, dim=1)


def _pick(
    xy: Float[Tensor, "batch candidates 2"], index: Int[Tensor, "batch picked"]
) -> Float[Tensor, "batch picked 2"]:
    """Take points by their indices."""
    return xy.gather(1, index.unsqueeze(2).expand(-1, -1, 2))


def _squared_distance(
    xy: Float[Tensor, "batch points 2"], centers: Float[Tensor, "batch picked 2"]
) -> Float[Tensor, "batch picked points"]:
    """Compute the squared distance of every point to every center."""
    return (xy.unsqueeze(1) - centers.unsqueeze(2)).square().sum(dim=3)
