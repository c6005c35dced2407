"""Slow plain-loop oracles of grouping and boxes, by definition."""

from __future__ import annotations

import math

import numpy as np


def log_density(x, y, weight, mean, covariance):
    """Log of a weighted normal density in two dimensions, by the textbook formula."""
    (a, b), (_, d) = covariance
    determinant = a * d - b * b
    dx, dy = x - mean[0], y - mean[1]
    mahalanobis = (d * dx * dx - 2 * b * dx * dy + a * dy * dy) / determinant
    return (
        math.log(weight) - math.log(2 * math.pi) - 0.5 * math.log(determinant) - 0.5 * mahalanobis
    )


def em_step(points, responsibilities, regularisation):
    """One M step and the E step after it: responsibilities, and log-density of each point."""
    components = []
    for share in responsibilities.T:
        mass = sum(share)
        mean = [sum(share * points[:, axis]) / mass for axis in (0, 1)]
        covariance = [
            [
                sum(share * (points[:, i] - mean[i]) * (points[:, j] - mean[j])) / mass
                + regularisation * (i == j)
                for j in (0, 1)
            ]
            for i in (0, 1)
        ]
        components.append((mass / len(points), mean, covariance))
    densities = np.array(
        [[math.exp(log_density(x, y, *component)) for component in components] for x, y in points]
    )
    total = densities.sum(axis=1)
    return densities / total[:, None], np.log(total)


def boxes(xy, group, image_size, num_clusters, min_side=1.0):
    """Draw primary, secondary and whole-image boxes, slot by slot."""
    width, height = image_size
    slots = num_clusters * (num_clusters + 1) // 2 + 1
    out, mask = np.zeros((slots, 4)), np.zeros(slots, dtype=bool)
    members = {}
    for (x, y), label in zip(xy.tolist(), group.tolist(), strict=True):
        if 0 <= x <= width and 0 <= y <= height:
            members.setdefault(label, []).append((x, y))
    ordered = sorted(
        members.values(), key=lambda m: (np.mean([y for _, y in m]), np.mean([x for x, _ in m]))
    )
    primary = []
    for member in ordered:
        box = []
        for axis, side in ((0, width), (1, height)):
            low, high = min(p[axis] for p in member), max(p[axis] for p in member)
            if high - low < min_side:
                center = (low + high) / 2
                low, high = center - min_side / 2, center + min_side / 2
                move = -low if low < 0 else min(0, side - high)
                low, high = low + move, high + move
            box.append((low / side, high / side))
        primary.append((box[0][0], box[1][0], box[0][1], box[1][1]))
    slot = num_clusters
    for first in range(num_clusters):
        if first < len(primary):
            out[first], mask[first] = primary[first], True
        for second in range(first + 1, num_clusters):
            if second < len(primary):
                a, b = primary[first], primary[second]
                out[slot] = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
                mask[slot] = True
            slot += 1
    out[-1], mask[-1] = (0, 0, 1, 1), True
    return out, mask
