"""What regions cost beside bare SIFT and scikit-learn's mixture; or the figures of docs/regions.md.

python tools/benchmark.py regions [--images FOLDER] [--count 64] [--output
docs/benchmarks/regions.json]
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from sklearn.datasets import load_sample_images
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from agnet_vision.data.image import read_image
from agnet_vision.predict.files import find_images
from agnet_vision.regions.boxes import boxes_from_keypoints
from agnet_vision.regions.grouping import PAD, group_points, whiten
from agnet_vision.regions.keypoints import detect, gray_image
from agnet_vision.regions.mixture import fit_mixtures, pad_statistics
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import RGBImage
from benchmarks.conditions import conditions, measure_interleaved, ratio, summarize, write_report

SIDE = 224
Points = Float[np.ndarray, "_ 2"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--images",
        type=Path,
        default=None,
        help="folder of images; else parts of scikit-learn's",
    )
    parser.add_argument(
        "--count", type=int, default=64, help="number of images, scaled to 224 x 224"
    )
    parser.add_argument(
        "--repeats", type=int, default=7, help="timed passes; medians and quartiles are reported"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the choice of images and of the mixtures"
    )
    parser.add_argument(
        "--output", type=Path, default=None, help="write the raw numbers to this JSON file"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        default=None,
        help="draw the figures of docs/regions.md into this folder, and measure nothing",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure on one thread, all paths in turn."""
    if arguments.figures is not None:
        from benchmarks.region_figures import draw_figures  # matplotlib is slow to import

        draw_figures(arguments.figures)
        return {}

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        images = choose_images(arguments.images, arguments.count, arguments.seed)
        report = {
            "images": len(images),
            "source": "a folder"
            if arguments.images
            else "parts of scikit-learn's two sample images",
            "conditions": conditions(arguments.seed),
            **compare_times(images, arguments.repeats, arguments.seed),
            **compare_likelihoods([detect(image)[0] for image in images], arguments.seed),
        }

    Console().print_json(data=report)
    write_report(report, arguments.output)
    return report


def choose_images(folder: Path | None, count: int, seed: int) -> list[RGBImage]:
    """Choose images and scale them to 224 x 224."""
    rng = np.random.default_rng(seed)
    if folder is not None:
        paths = find_images(folder)
        chosen = [read_image(paths[i]) for i in rng.permutation(len(paths))[:count]]
    else:
        sources = load_sample_images().images
        chosen = []
        for index in range(count):
            source, side = sources[index % len(sources)], int(rng.integers(200, 400))
            top, left = (int(rng.integers(0, size - side + 1)) for size in source.shape[:2])
            chosen.append(source[top : top + side, left : left + side])

    return [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in chosen]


def compare_times(images: list[RGBImage], repeats: int, seed: int) -> dict[str, Any]:
    """Time floor, proposer, its stages, and scikit-learn's mixture."""
    sift = cv2.SIFT_create()  # type: ignore[attr-defined]  # missing in the type stubs of OpenCV
    proposer = RegionProposer(seed=seed)
    grays = [gray_image(image) for image in images]
    points = [detect(image)[0] for image in images]
    stored = proposer.keypoints_many(images)

    times = measure_interleaved(
        {
            "sift_detect": lambda: [sift.detect(gray, None) for gray in grays],
            "proposer": lambda: proposer(images),
            "proposer_one_by_one": lambda: [proposer([image]) for image in images],
            "detect": lambda: [detect(image) for image in images],
            "group": lambda: group_points(points, seed=seed),
            "boxes": lambda: [boxes_from_keypoints(p.xy, p.group, (SIDE, SIDE)) for p in stored],
            "sklearn_mixture": lambda: [fit_sklearn(xy, seed) for xy in points],
        },
        repeats=repeats,
        items=len(images),
    )

    return {
        "cpu_ms_per_image": {name: summarize(values) for name, values in times.items()},
        "proposer_over_sift_detect": ratio(times["proposer"], times["sift_detect"]),
        "sklearn_over_group": ratio(times["sklearn_mixture"], times["group"]),
        "points_per_image": summarize([float(len(xy)) for xy in points]),
    }


def compare_likelihoods(points: list[Points], seed: int) -> dict[str, Any]:
    """Compare the mean log-likelihood per point with scikit-learn's, in nats and pixels."""
    points = [xy for xy in points if len(xy) >= 9]
    theirs = [fit_sklearn(xy, seed).score(xy.astype(np.float64)) for xy in points]
    ours = [log_likelihood(xy, seed) for xy in points]
    return {
        "log_likelihood_per_point": {
            "group": round(float(np.mean(ours)), 4),
            "sklearn": round(float(np.mean(theirs)), 4),
            "difference": summarize([a - b for a, b in zip(ours, theirs, strict=True)]),
            "mean_difference": round(float(np.mean(ours) - np.mean(theirs)), 4),
        }
    }


def fit_sklearn(xy: Points, seed: int) -> GaussianMixture:
    """Fit the textbook mixture: one k-means start, full covariances."""
    with warnings.catch_warnings():
        # Some fits need more iterations than the default; that is part of what is measured.
        warnings.simplefilter("ignore")
        mixture = GaussianMixture(min(8, len(xy)), covariance_type="full", random_state=seed)
        return mixture.fit(xy.astype(np.float64))


def log_likelihood(xy: Points, seed: int) -> float:
    """Fit our mixture, and express its likelihood in pixels."""
    statistics = pad_statistics([whiten(xy)], -(-len(xy) // PAD) * PAD)
    whitened = float(fit_mixtures(torch.from_numpy(statistics), 8, seed=seed)[1][0])
    return whitened - 0.5 * float(np.linalg.slogdet(np.cov(xy.T.astype(np.float64), bias=True))[1])
