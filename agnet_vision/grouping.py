"""Keypoints to semantic groups (method, step 2): many small Gaussian mixtures fitted at once.

Each picture's points are whitened, which makes the fit equivariant under affine maps, and written as six sufficient
statistics ``s = (1, x, y, x^2, x y, y^2)``. A component's log-density is linear in them, so the E step is
``coefficients @ s`` and the M step ``responsibilities @ s^T``: two matrix products for all pictures together, the same
code on CPU and GPU.

**A picture's labels never depend on its neighbours.** Point sets are padded to fixed sizes (multiples of ``PAD``), never
to the longest of the batch; a picture leaves the batch when *it* has converged; and choices between equals take the first
within a tolerance far above rounding. Double precision because narrow groups need it: the quadratic form cancels terms of
1e9.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Grouping = Literal["em", "sklearn"]

PAD = 128  # point sets are padded to a multiple of this
REGULARISATION = 1e-8  # ours: added to variances in whitened units; about 0.005 pixels wide on a 224 x 224 picture
TOLERANCE = 5e-4  # ours: stop when an iteration gains less log-likelihood a point; scikit-learn stops at 1e-3
MAX_ITERATIONS = 100  # scikit-learn's
LLOYD_STEPS = 4  # ours: 16 gain nothing (docs/regions.md)
SEED_CANDIDATES = 4  # scikit-learn's 2 + log(kappa) for kappa = 8
TIE = 1e-9  # candidates closer than this count as equal, and the first one wins
CHUNK = 64  # pictures fitted together: their responsibilities stay in the processor's cache


class Mixtures(NamedTuple):
    """Fitted mixtures in the coordinates they were fitted in.

    Attributes:
        coefficients: log-weight plus log-density of each component as a linear form of the six statistics.
        log_likelihood: mean over the points.
    """

    coefficients: Float[Tensor, "batch clusters 6"]
    log_likelihood: Float[Tensor, " batch"]


def group_points(
    points: Sequence[Float[np.ndarray, "_ 2"]],
    num_clusters: int = 8,
    *,
    method: Grouping = "em",
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> list[Int[np.ndarray, " _"]]:
    """Label the points of each picture with the semantic group they belong to.

    Labels run from 0 without gaps, ordered by the groups' mean y, then mean x. Fewer groups appear where points are few:
    under 9 points at most 2 (paper's reference behaviour), and never more than distinct locations.

    Args:
        points: positions ``(x, y)`` of each picture, any unit.
        num_clusters: kappa, components of each mixture; 8 (paper).
        method: ``"em"``, the batched fit of this file, or ``"sklearn"``, the textbook path, about ten times slower.
        seed: of the k-means++ start; each picture draws the same numbers.
        device: where the batched fit runs.

    Raises:
        ValueError: an option is out of range, or a position is not finite.
    """
    check_options(num_clusters, method)
    for index, xy in enumerate(points):
        if not np.isfinite(xy).all():
            raise ValueError(f"points must be finite, got NaN or infinity in picture {index}")
    match method:
        case "em":
            labels = _group_batched(points, num_clusters, seed, torch.device(device))
        case "sklearn":
            labels = [_group_sklearn(xy, num_clusters, seed) for xy in points]
    return [reading_order(xy, label) for xy, label in zip(points, labels, strict=True)]


def check_options(num_clusters: int, method: str) -> None:
    """Refuse options that cannot work; a proposer calls it once, when it is made."""
    if num_clusters < 1:
        raise ValueError(f"num_clusters must be at least 1, got {num_clusters}")
    if method not in get_args(Grouping):
        raise ValueError(f"grouping must be one of {', '.join(get_args(Grouping))}, got {method!r}")


def count_components(num_points: int, num_clusters: int) -> int:
    """Say how many components so few points support: all of them from 9 points on, else 2, or 1 for a single point."""
    if num_points > num_clusters and num_points >= 9:
        return num_clusters
    return min(num_clusters, 2, num_points)


def reading_order(xy: Float[np.ndarray, "points 2"], group: Int[np.ndarray, " points"]) -> Int[np.ndarray, " points"]:
    """Renumber groups without gaps, top to bottom by mean y, then left to right by mean x."""
    if not len(group):
        return group.astype(np.int64)
    _, group = np.unique(group, return_inverse=True)
    counts = np.bincount(group)
    mean_x, mean_y = (np.bincount(group, weights=xy[:, axis]) / counts for axis in (0, 1))
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.lexsort((mean_x, mean_y))] = np.arange(len(counts))
    return rank[group]


def whiten(xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
    """Move points to mean 0 and covariance 1; a direction without spread is left at 0."""
    centred = xy.astype(np.float64) - xy.mean(axis=0, dtype=np.float64)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    usable = variance > max(1e-12 * variance[-1], 1e-12)
    return centred @ axes * np.where(usable, 1 / np.sqrt(np.where(usable, variance, 1)), 0)


@torch.inference_mode()
def _group_batched(
    points: Sequence[Float[np.ndarray, "_ 2"]], num_clusters: int, seed: int, device: torch.device
) -> list[Int[np.ndarray, " _"]]:
    labels = [np.zeros(len(xy), dtype=np.int64) for xy in points]
    by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, xy in enumerate(points):
        if (components := count_components(len(xy), num_clusters)) > 1:
            by_shape[-(-len(xy) // PAD) * PAD, components].append(index)
    for (padded, components), members in by_shape.items():
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            statistics = torch.from_numpy(pad_statistics([whiten(points[index]) for index in chunk], padded)).to(device)
            found = assign(fit_mixtures(statistics, components, seed=seed).coefficients, statistics).cpu().numpy()
            for row, index in enumerate(chunk):
                labels[index] = found[row, : len(points[index])]
    return labels


def pad_statistics(points: Sequence[Float[np.ndarray, "_ 2"]], padded: int) -> Float[np.ndarray, "batch 6 padded"]:
    """Write points as six statistics each; padding is all zero, so it adds nothing to any sum."""
    statistics = np.zeros((len(points), 6, padded))
    for row, xy in zip(statistics, points, strict=True):
        x, y = xy.T
        row[:, : len(xy)] = (np.ones_like(x), x, y, x * x, x * y, y * y)
    return statistics


def fit_mixtures(statistics: Float[Tensor, "batch 6 points"], components: int, *, seed: int = 0) -> Mixtures:
    """Fit one full-covariance mixture a picture by EM from a k-means start, each to its own convergence."""
    count = statistics[:, 0].sum(dim=1)
    coefficients = maximise(_kmeans(statistics, components, seed), statistics)
    result = Mixtures(coefficients.clone(), torch.full_like(count, -math.inf))
    active, previous = torch.arange(len(statistics), device=statistics.device), result.log_likelihood
    for iteration in range(MAX_ITERATIONS):
        responsibilities, log_density = expect(coefficients, statistics)
        log_likelihood = (log_density * statistics[:, 0]).sum(dim=1) / count
        done = log_likelihood - previous < TOLERANCE if iteration < MAX_ITERATIONS - 1 else torch.ones_like(active) > 0
        if done.any():
            result.coefficients[active[done]] = coefficients[done]
            result.log_likelihood[active[done]] = log_likelihood[done]
            if done.all():
                break
            kept = (~done).nonzero().squeeze(1)
            active, statistics, count, log_likelihood = (
                active[kept],
                statistics[kept],
                count[kept],
                log_likelihood[kept],
            )
            responsibilities = responsibilities[kept]
        coefficients, previous = maximise(responsibilities, statistics), log_likelihood
    return result


def expect(
    coefficients: Float[Tensor, "batch clusters 6"], statistics: Float[Tensor, "batch 6 points"]
) -> tuple[Float[Tensor, "batch clusters points"], Float[Tensor, "batch points"]]:
    """E step: each component's share of each point, and the log-density of each point."""
    log_joint = coefficients @ statistics
    peak = log_joint.amax(dim=1, keepdim=True)
    share = log_joint.sub_(peak).exp_()
    total = share.sum(dim=1, keepdim=True)
    return share.div_(total), (total.log() + peak).squeeze(1)


def maximise(
    responsibilities: Float[Tensor, "batch clusters points"], statistics: Float[Tensor, "batch 6 points"]
) -> Float[Tensor, "batch clusters 6"]:
    """M step: weights, means and covariances, written as the linear form of the next E step."""
    sums = responsibilities @ statistics.transpose(1, 2)  # (batch, clusters, 6)
    mass = sums[..., :1] + 1e-12
    mean_x, mean_y, xx, xy, yy = (sums[..., 1:] / mass).unbind(-1)
    var_x, var_y = xx - mean_x * mean_x + REGULARISATION, yy - mean_y * mean_y + REGULARISATION
    cov = xy - mean_x * mean_y
    determinant = var_x * var_y - cov * cov
    a, b, c = var_y / determinant, -cov / determinant, var_x / determinant  # the precision matrix
    weight = mass.squeeze(-1) / sums[..., :1].sum(dim=1)
    linear_x, linear_y = a * mean_x + b * mean_y, b * mean_x + c * mean_y
    constant = weight.log() - 0.5 * determinant.log() - math.log(2 * math.pi)
    constant = constant - 0.5 * (linear_x * mean_x + linear_y * mean_y)
    return torch.stack([constant, linear_x, linear_y, -0.5 * a, -b, -0.5 * c], dim=-1)


def assign(
    coefficients: Float[Tensor, "batch clusters 6"], statistics: Float[Tensor, "batch 6 points"]
) -> Int[Tensor, "batch points"]:
    """Give each point to its most probable component; of equals, the first."""
    return _first_largest(coefficients @ statistics)


def _first_largest(scores: Float[Tensor, "batch clusters points"]) -> Int[Tensor, "batch points"]:
    """Index of the first score within ``TIE`` of the largest; ``argmax`` is 100 times slower over this dimension."""
    clusters = scores.shape[1]
    countdown = torch.arange(clusters, 0, -1, device=scores.device).view(1, -1, 1)
    equals = scores >= scores.amax(dim=1, keepdim=True) - TIE
    return clusters - (equals * countdown).amax(dim=1)


def _kmeans(
    statistics: Float[Tensor, "batch 6 points"], components: int, seed: int
) -> Float[Tensor, "batch clusters points"]:
    """Seeded k-means++ and a few Lloyd steps; returns each point's cluster as responsibilities of 0 and 1."""
    centres = _plus_plus(statistics, components, seed)
    real = statistics[:, :1]
    hard = torch.empty(0)
    for step in range(LLOYD_STEPS + 1):
        form = torch.cat([-0.5 * centres.square().sum(dim=2, keepdim=True), centres], dim=2)  # (batch, clusters, 3)
        nearest = _first_largest(form @ statistics[:, :3])
        hard = (
            torch.zeros_like(statistics[:, :1].expand(-1, components, -1)).scatter_(1, nearest.unsqueeze(1), 1) * real
        )
        if step < LLOYD_STEPS:
            sums = hard @ statistics[:, :3].transpose(1, 2)
            centres = torch.where(sums[..., :1] > 0, sums[..., 1:] / sums[..., :1].clamp_min(1), centres)
    return hard


def _plus_plus(
    statistics: Float[Tensor, "batch 6 points"], components: int, seed: int
) -> Float[Tensor, "batch clusters 2"]:
    """Greedy k-means++: of a few points drawn by squared distance, take the one that lowers the total most."""
    draws = np.random.default_rng(seed).random((components, SEED_CANDIDATES))
    real, xy = statistics[:, 0], statistics[:, 1:3].transpose(1, 2)  # (batch, points), (batch, points, 2)
    count = real.sum(dim=1, keepdim=True)
    chosen = [_pick(xy, (draws[0, 0] * count).long())]
    distance = _squared_distance(xy, chosen[0]).squeeze(1) * real
    for draw in draws[1:]:
        cumulative = distance.cumsum(dim=1)
        target = cumulative[:, -1:] * torch.from_numpy(draw).to(real)
        index = torch.minimum(torch.searchsorted(cumulative, target, right=True), count.long() - 1)
        candidates = _pick(xy, index)
        nearer = torch.minimum(_squared_distance(xy, candidates) * real.unsqueeze(1), distance.unsqueeze(1))
        best = _first_largest(-nearer.sum(dim=2, keepdim=True))  # (batch, 1)
        chosen.append(_pick(candidates, best))
        distance = nearer.gather(1, best.unsqueeze(2).expand(-1, -1, nearer.shape[2])).squeeze(1)
    return torch.cat(chosen, dim=1)


def _pick(
    xy: Float[Tensor, "batch candidates 2"], index: Int[Tensor, "batch picked"]
) -> Float[Tensor, "batch picked 2"]:
    return xy.gather(1, index.unsqueeze(2).expand(-1, -1, 2))


def _squared_distance(
    xy: Float[Tensor, "batch points 2"], centres: Float[Tensor, "batch picked 2"]
) -> Float[Tensor, "batch picked points"]:
    return (xy.unsqueeze(1) - centres.unsqueeze(2)).square().sum(dim=3)


def _group_sklearn(xy: Float[np.ndarray, "points 2"], num_clusters: int, seed: int) -> Int[np.ndarray, " points"]:
    """Fit scikit-learn's mixture; retry with wider components where it finds the covariance ill-defined."""
    from sklearn.exceptions import ConvergenceWarning  # slow to import, and only this path needs it
    from sklearn.mixture import GaussianMixture

    components = min(count_components(len(xy), num_clusters), len(np.unique(xy, axis=0)))
    if components < 2:
        return np.zeros(len(xy), dtype=np.int64)
    with warnings.catch_warnings():
        # 100 iterations without convergence still give usable groups, and so do fewer clusters than asked.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for regularisation in (1e-6, 1e-2, 1.0):
            mixture = GaussianMixture(components, covariance_type="full", random_state=seed, reg_covar=regularisation)
            try:
                return np.asarray(mixture.fit_predict(xy.astype(np.float64)), dtype=np.int64)
            except ValueError as error:
                if "ill-defined" not in str(error):
                    raise
    return np.zeros(len(xy), dtype=np.int64)
