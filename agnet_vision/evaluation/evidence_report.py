"""What the report of a run says of where the evidence lies, without any marks."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, Shaped
from matplotlib.colors import to_rgb
from sklearn.cluster import AgglomerativeClustering
from sklearn.preprocessing import normalize

from agnet_vision.data.image import read_image
from agnet_vision.data.sources.split_list import ListedImage, read_split_list
from agnet_vision.evaluation.run_folder import RunResults
from agnet_vision.evaluation.statistics import Interval, estimates, interval
from agnet_vision.evaluation.thumbnails import SHOWN, as_address, thumbnail
from agnet_vision.explain.explanation import explain
from agnet_vision.explain.overlays import THEMES
from agnet_vision.explain.suspects import Suspect, find_suspects
from agnet_vision.files import write_atomically
from agnet_vision.models.agnet import AGNet

MOST = 300  # images looked at
CLUSTERED = 3  # of so many images one, the most concentrated, has its box compared with others
CLUSTER_SIZE = 10  # boxes in a cluster, on average
SHOWN_CLUSTERS, SHOWN_BOXES = 6, 6
LEAST = 5  # boxes of a cluster, and images of a class's mean, that is shown
LEAST_OF_GROUP = 10  # images of a group that is scored
CROP = 96  # pixels of a box's side


class Card(NamedTuple):
    """An image with the box of its evidence, or a mean map, and its caption."""

    image: str  # as a data address
    name: str
    share: float


class Cluster(NamedTuple):
    """Boxes that bring the same to the last layer."""

    crops: list[str]  # as data addresses
    images: int
    classes: str


class Group(NamedTuple):
    """Accuracy on the images of a group."""

    name: str
    images: int
    accuracy: Interval


@dataclass(frozen=True)
class Where:
    """Where the evidence of a run's images lies.

    Attributes:
        split: what the images are.
        maps: mean evidence over all images, then over those given a class, the most gathered first.
        border: mean part of the positive evidence in the outermost cells of the map.
        border_area: part of the map that these cells are.
        outside_hull: mean part outside the keypoints' hull; None where no image has one.
        cards: images whose evidence is most concentrated.
        clusters: boxes that are alike, the most alike first.
        has_list: whether ``suspects.csv`` was written.
    """

    images: int
    split: str
    maps: list[Card]
    border: float
    border_area: float
    outside_hull: float | None
    cards: list[Card]
    clusters: list[Cluster]
    has_list: bool


def where_evidence_lies(run: RunResults, model: AGNet, root: Path) -> Where:
    """Look at the training images of a run, or at the tested ones where the others are not there.

    The boxes of the clusters shown are written to ``suspects.csv``, as marks that can be edited.

    Raises:
        ImageReadError: an image cannot be read any more.
    """
    listed = listed_images(run)
    names = {root / path: row.path for path, row in listed.items() if row.split == "train"}
    names = {path: name for path, name in names.items() if path.is_file()}
    split = "training" if names else "tested"
    paths = sorted(names) or sorted({root / path for path in run.paths})
    chosen = np.random.default_rng(0).permutation(len(paths))[:MOST]
    found = find_suspects(model, [paths[number] for number in chosen])

    clusters = alike(found[: max(2 * LEAST, len(found) // CLUSTERED)])[:SHOWN_CLUSTERS]
    if names and clusters:
        write_atomically(run.folder.suspects, as_marks(clusters, names))
    border, area = border_share(found)
    hulls = [each.outside_hull for each in found if each.outside_hull is not None]
    return Where(
        images=len(found),
        split=split,
        maps=mean_maps(found, run.classes),
        border=border,
        border_area=area,
        outside_hull=float(np.mean(hulls)) if hulls else None,
        cards=[_card(each, model, root) for each in found[:SHOWN]],
        clusters=[_cluster(each, run.classes) for each in clusters],
        has_list=bool(names and clusters),
    )


def listed_images(run: RunResults) -> dict[str, ListedImage]:
    """Return what the run's split list says of each image, by its path relative to the root."""
    if not run.folder.splits.is_file():
        return {}
    rows = read_split_list(run.folder.splits)
    names = {row.path for row in rows}
    parts = run.paths[0].split("/")
    for start in range(len(parts)):  # the list may begin in a folder below the root
        if "/".join(parts[start:]) in names:
            above = "".join(f"{part}/" for part in parts[:start])
            return {above + row.path: row for row in rows}
    return {}


def groups_of(run: RunResults) -> Shaped[np.ndarray, " images"]:
    """Name the group of each tested image; empty where it has none."""
    listed = listed_images(run)
    return np.array([row.group or "" if (row := listed.get(p)) else "" for p in run.paths])


def accuracy_by_group(run: RunResults) -> list[Group]:
    """Score the groups of tested images that are large enough, the worst first."""
    names = groups_of(run)
    groups = []
    for name, count in Counter(names.tolist()).items():
        if name and count >= LEAST_OF_GROUP:
            own = names == name
            accuracy = estimates(run.label[own], run.probability[own])["acc"]
            one_kind = np.zeros(count, dtype=int)
            groups.append(Group(name, count, interval(accuracy, one_kind)))
    return sorted(groups, key=lambda group: group.accuracy.value)


def border_share(found: Sequence[Suspect]) -> tuple[float, float]:
    """Return the mean part of the positive evidence in the outermost cells, and of the area."""
    border = np.ones(found[0].cells.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    positive = [each.cells.clip(min=0) for each in found]
    shares = [cells[border].sum() / cells.sum() for cells in positive if cells.any()]
    return float(np.mean(shares)) if shares else 0.0, float(border.mean())


def mean_maps(found: Sequence[Suspect], classes: Sequence[str]) -> list[Card]:
    """Average the evidence over all images, and over those of each class, the most gathered first.

    A fixed place, such as a timestamp's corner, lights up in its class's map.
    """
    target = np.array([each.target for each in found])
    cells = np.stack([each.cells for each in found])
    numbers = [k for k in np.unique(target) if (target == k).sum() >= LEAST]
    means = {classes[k]: cells[target == k].mean(axis=0) for k in numbers}
    maps = {name: Card(_paint(mean), name, _gathered(mean)) for name, mean in means.items()}
    total = cells.mean(axis=0)
    by_share = sorted(maps.values(), key=lambda card: -card.share)
    return [Card(_paint(total), "all classes", _gathered(total)), *by_share][:SHOWN]


def alike(found: Sequence[Suspect]) -> list[list[Suspect]]:
    """Part boxes into clusters by what they bring to the last layer, the most alike first.

    Ward's clusters of the features, each divided by its norm; how alike those of a cluster are is
    the norm of their mean.
    """
    if len(found) < 2 * LEAST:
        return []
    features = normalize(np.stack([each.feature for each in found]))
    clustering = AgglomerativeClustering(n_clusters=max(2, len(found) // CLUSTER_SIZE))
    label: Int[np.ndarray, " boxes"] = clustering.fit_predict(features)
    likeness = {k: np.linalg.norm(features[label == k].mean(axis=0)) for k in np.unique(label)}
    clusters = [
        [each for each, own in zip(found, label == k, strict=True) if own]
        for k in sorted(likeness, key=lambda k: -likeness[k])
    ]
    return [cluster for cluster in clusters if len(cluster) >= LEAST]


def as_marks(clusters: Sequence[Sequence[Suspect]], names: dict[Path, str]) -> str:
    """Write boxes as marks, with the number of their cluster on the page."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "x0", "y0", "x1", "y1", "look", "cluster"))
    for number, cluster in enumerate(clusters, 1):
        for each in cluster:
            box = (f"{value:.4f}" for value in each.box)
            writer.writerow((names[each.path], *box, "no", number))
    return text.getvalue()


def _card(suspect: Suspect, model: AGNet, root: Path) -> Card:
    """Draw an image and its evidence, with the box outlined."""
    explanation = explain(model, read_image(suspect.path), target=suspect.target)
    path = suspect.path
    name = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return Card(thumbnail(explanation, box=suspect.box), name, suspect.share)


def _cluster(suspects: Sequence[Suspect], classes: Sequence[str]) -> Cluster:
    """Cut out the first boxes of a cluster, and count the classes the images are given."""
    crops = []
    for suspect in suspects[:SHOWN_BOXES]:
        image = read_image(suspect.path)
        height, width = image.shape[:2]
        x0, y0, x1, y1 = np.multiply(suspect.box, [width, height] * 2).round().astype(int)
        crop = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        crops.append(as_address(cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_AREA)))
    counts = Counter(classes[suspect.target] for suspect in suspects)
    words = ", ".join(f"{name} ({count})" for name, count in counts.most_common(3))
    return Cluster(crops, len(suspects), words + (", ..." if len(counts) > 3 else ""))


def _gathered(mean: Float[np.ndarray, "height width"]) -> float:
    """Return the part of a map's positive evidence that its strongest tenth of the cells holds."""
    positive = np.sort(mean.clip(min=0), axis=None)[::-1]
    return float(positive[: max(1, positive.size // 10)].sum() / max(positive.sum(), 1e-12))


def _paint(mean: Float[np.ndarray, "height width"]) -> str:
    """Paint a map, a pixel per cell: orange speaks for the class, blue against it."""
    theme = THEMES["light"]
    strength = mean / max(np.abs(mean).max(), 1e-12)
    colors = np.array([to_rgb(theme.opposes), to_rgb(theme.supports)])
    rgb = colors[(strength > 0).astype(int)]
    pixels = np.dstack([rgb, np.abs(strength)])
    return as_address((255 * pixels).round().astype(np.uint8))
