"""Classify images with an exported AG-Net by NumPy, OpenCV and onnxruntime alone, without torch.

    python onnx_predict.py model.onnx photo.jpg ...

prints path, class and probability of each image, or of a network for several labels per image all
that reach their thresholds. Everything it needs to know stands in the file's own metadata: the
input (``data_config``), the regions (``regions``), the classes and what they mean (``task``).

The steps are those of the library, so that the answers are: read, find keypoints, group them by a
Gaussian mixture, move them with the image into the frame that the network sees, draw the boxes
there. Regions come from SIFT or ORB keypoints grouped by ``em`` (the defaults), or from the fixed
``grid``; the ``random`` control, the other detectors and scikit-learn's grouping are refused.
"""

import json
import math
import os
import sys

import cv2
import numpy as np
import onnxruntime

INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
MAX_ASPECT = 20  # of a longer image only the middle is used


# ---- the image: read, resized, cut, normalized -------------------------------------------


def read_image(path):
    """Decode an RGB image, upright, transparency over white."""
    stored = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise ValueError("no image that OpenCV can read")
    if stored.ndim == 3 and stored.shape[2] == 4 and stored.dtype == np.uint8:
        alpha = stored[..., 3:] / 255
        return np.round(stored[..., 2::-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def to_frame(image, data_config):
    """Cut out what the network sees; points (x, y) move there times a scale, plus a shift."""
    longest = MAX_ASPECT * min(image.shape[:2])
    top, left = (max(0, (length - longest) // 2) for length in image.shape[:2])
    image = image[top : top + longest, left : left + longest]
    start = np.array([left, top])

    height, width = image.shape[:2]
    side = data_config["input_size"][-1]
    resized = round(side / data_config["crop_pct"])
    size = (resized, resized)  # squashed to a square, whatever the shape was
    if data_config["crop_mode"] != "squash":
        ratio = resized / min(height, width)  # the shorter side is resized
        size = tuple(round(length * ratio) for length in (width, height))
    scale = np.array([size[0] / width, size[1] / height])
    shrinks = size[0] < width or size[1] < height
    mode = cv2.INTER_AREA if shrinks else INTERPOLATION[data_config["interpolation"]]
    image = cv2.resize(image, size, interpolation=mode)
    left, top = ((length - side) // 2 for length in size)
    return image[top : top + side, left : left + side], scale, -start * scale - (left, top)


def normalize(frame, data_config):
    """Scale and shift the channels; (height, width, 3) becomes (3, height, width)."""
    mean, std = (np.array(data_config[name]) for name in ("mean", "std"))
    pixels = frame * (1 / (std * 255)).astype(np.float32) + (-mean / std).astype(np.float32)
    return pixels.transpose(2, 0, 1)


# ---- keypoints --------------------------------------------------------------------------


def find_keypoints(image, settings):
    """Find the strongest keypoints, one per location, in pixels of the image."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    ratio = settings["max_side"] / max(gray.shape)
    if ratio < 1:
        size = [max(1, round(length * ratio)) for length in gray.shape[::-1]]
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    found = detect(gray, settings["detector"])
    if not found:
        return np.zeros((0, 2), np.float32)

    # OpenCV puts the centers of pixels at whole numbers; here they are at halves.
    xy = np.array(cv2.KeyPoint.convert(found), np.float32).reshape(-1, 2) + np.float32(0.5)
    response = np.array([point.response for point in found], np.float32)
    inside = (xy <= gray.shape[::-1]).all(axis=1)
    order = np.lexsort((xy[inside, 0], xy[inside, 1], -response[inside]))
    xy = xy[inside][order]
    first = np.sort(np.unique(xy, axis=0, return_index=True)[1])
    xy = xy[first[: math.ceil(settings["keep_fraction"] * len(first))]]
    full_size = np.array(image.shape[1::-1])
    return np.clip((xy * (full_size / gray.shape[::-1])).astype(np.float32), 0, full_size)


def detect(gray, detector):
    """Run OpenCV's detector."""
    if detector == "sift":
        return cv2.SIFT_create(enable_precise_upscale=True).detect(gray, None)
    below, right = (max(0, 32 - length) for length in gray.shape)  # a pyramid needs some pixels
    gray = cv2.copyMakeBorder(gray, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return cv2.ORB_create(nfeatures=2000, edgeThreshold=3).detect(gray, None)


# ---- groups: a full-covariance Gaussian mixture from a k-means start ---------------------
# Each point is a column (1, x, y, x^2, xy, y^2), so that log-densities are one matrix product.

REGULARIZATION, TOLERANCE, TIE = 1e-8, 5e-4, 1e-9


def group_points(xy, kappa, seed):
    """Label points with their most probable component."""
    components = kappa if len(xy) > kappa and len(xy) >= 9 else min(kappa, 2, len(xy))
    if components < 2:
        return np.zeros(len(xy), int)
    x, y = whiten(xy).T
    points = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    forms = maximize(cluster(points, components, seed), points)
    previous = -np.inf
    for _ in range(100):
        joint = forms @ points
        peak = joint.max(axis=0)
        share = np.exp(joint - peak)
        total = share.sum(axis=0)
        likelihood = (np.log(total) + peak).mean()
        if likelihood - previous < TOLERANCE:
            break
        forms, previous = maximize(share / total, points), likelihood
    return first_largest(forms @ points)


def whiten(xy):
    """Move points to mean 0 and covariance 1; a direction without spread is left at 0."""
    centered = xy.astype(np.float64) - xy.mean(axis=0, dtype=np.float64)
    variance, axes = np.linalg.eigh(centered.T @ centered / len(centered))
    usable = variance > max(1e-12 * variance[-1], 1e-12)
    return centered @ axes * np.where(usable, 1 / np.sqrt(np.where(usable, variance, 1)), 0)


def maximize(shares, points):
    """Make each component's log-density from its shares, as a linear form of the points."""
    sums = shares @ points.T
    mass = sums[:, :1] + 1e-12
    mean_x, mean_y, xx, xy, yy = (sums[:, 1:] / mass).T
    var_x, var_y = xx - mean_x**2 + REGULARIZATION, yy - mean_y**2 + REGULARIZATION
    cov = xy - mean_x * mean_y
    determinant = var_x * var_y - cov * cov
    a, b, c = var_y / determinant, -cov / determinant, var_x / determinant
    linear_x, linear_y = a * mean_x + b * mean_y, b * mean_x + c * mean_y
    constant = np.log(mass[:, 0] / sums[:, 0].sum()) - 0.5 * np.log(determinant)
    constant -= math.log(2 * math.pi) + 0.5 * (linear_x * mean_x + linear_y * mean_y)
    return np.stack([constant, linear_x, linear_y, -0.5 * a, -b, -0.5 * c], axis=1)


def cluster(points, components, seed):
    """Share the points out, as zeros and ones, by k-means from a seeded greedy k-means++ start."""
    xy = points[1:3].T
    draws = np.random.default_rng(seed).random((components, 4))
    centers = xy[[int(draws[0, 0] * len(xy))]]
    distance = ((xy - centers[0]) ** 2).sum(axis=1)
    for draw in draws[1:]:  # of four points drawn by distance, the one that lowers the total most
        cumulative = np.cumsum(distance)
        drawn = np.searchsorted(cumulative, cumulative[-1] * draw, side="right")
        candidates = xy[np.minimum(drawn, len(xy) - 1)]
        nearer = ((xy[None] - candidates[:, None]) ** 2).sum(axis=2)
        nearer = np.minimum(nearer, distance)
        best = first_largest(-nearer.sum(axis=1))
        centers, distance = np.vstack([centers, candidates[best]]), nearer[best]
    for step in range(5):
        forms = np.column_stack([-0.5 * (centers**2).sum(axis=1), centers])
        shares = np.eye(components)[first_largest(forms @ points[:3])].T
        if step < 4:
            sums = shares @ points[:3].T
            means = sums[:, 1:] / np.maximum(sums[:, :1], 1)
            centers = np.where(sums[:, :1] > 0, means, centers)
    return shares


def first_largest(scores):
    """Return the index of the largest score of each column, of equals the first."""
    return np.argmax(scores >= scores.max(axis=0) - TIE, axis=0)


# ---- boxes ------------------------------------------------------------------------------


def draw_boxes(xy, group, side):
    """Draw the tight box around the points of each group in the frame, from top to bottom."""
    inside = ((xy >= 0) & (xy <= side)).all(axis=1)
    xy, group = xy[inside].astype(np.float64), group[inside]
    groups = [xy[group == label] for label in np.unique(group)]
    groups.sort(key=lambda points: tuple(points.mean(axis=0)[::-1]))
    low = np.array([points.min(axis=0) for points in groups]).reshape(-1, 2)
    high = np.array([points.max(axis=0) for points in groups]).reshape(-1, 2)
    thin = np.maximum(1 - (high - low), 0) / 2  # a box is at least a pixel thick
    low, high = low - thin, high + thin
    shift = np.maximum(-low, 0) - np.maximum(high - side, 0)
    return np.hstack([low + shift, high + shift]) / side


def grid_boxes(kappa):
    """Cut the frame into kappa equal cells, row by row, with at least as many columns as rows."""
    rows = next(rows for rows in range(math.isqrt(kappa), 0, -1) if kappa % rows == 0)
    columns = kappa // rows
    row, column = np.divmod(np.arange(kappa), columns)
    return np.stack(
        [column / columns, row / rows, (column + 1) / columns, (row + 1) / rows], axis=1
    )


def fill_slots(primary, kappa):
    """Put primary boxes, the boxes around each pair and the whole image into their slots.

    An empty slot holds zeros.
    """
    boxes = np.zeros((kappa * (kappa + 1) // 2 + 1, 4), np.float32)
    boxes[: len(primary)] = primary
    for slot, (i, j) in enumerate(zip(*np.triu_indices(kappa, 1), strict=True), kappa):
        if j < len(primary):
            boxes[slot, :2] = np.minimum(primary[i, :2], primary[j, :2])
            boxes[slot, 2:] = np.maximum(primary[i, 2:], primary[j, 2:])
    boxes[-1] = 0, 0, 1, 1
    return boxes


# ---- all together -----------------------------------------------------------------------


def prepare(image, config):
    """Make the inputs of the network from one RGB image."""
    data_config, settings, kappa = config["data_config"], config["regions"], config["num_clusters"]
    frame, scale, shift = to_frame(image, data_config)
    if settings["source"] == "grid":
        primary = grid_boxes(kappa)
    else:
        xy = find_keypoints(image, settings)
        group = group_points(xy, kappa, settings["seed"])
        primary = draw_boxes((xy * scale + shift).astype(np.float32), group, frame.shape[0])
    return {
        "images": normalize(frame, data_config)[None],
        "boxes": fill_slots(primary, kappa)[None],
    }


def open_network(path):
    """Open the file and read what it says of itself."""
    if not os.path.isfile(path):
        raise ValueError("no such file")
    session = onnxruntime.InferenceSession(path)
    stored = session.get_modelmeta().custom_metadata_map.get("agnet")
    if stored is None:
        raise ValueError("not a network exported by agnet_vision")
    config = json.loads(stored)
    for name, known in (
        ("source", ("keypoints", "grid")),
        ("detector", ("sift", "orb")),
        ("grouping", ("em",)),
    ):
        if config["regions"][name] not in known:
            raise ValueError(f"regions with {name}={config['regions'][name]} are not made here")
    return session, config


def decide(logits, task):
    """List the numbers and probabilities of what an image is given, the most probable first."""
    if task.get("name") == "multi_label":
        probabilities = 1 / (1 + np.exp(-logits))
        given = probabilities >= np.array(task["thresholds"] or 0.5, np.float32)
    else:
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        given = np.arange(len(logits)) == probabilities.argmax()
    order = np.argsort(-probabilities, kind="stable")
    return [(k, probabilities[k]) for k in order if given[k]]


def main(network, *images):
    """Print a line per image; one that cannot be read gets a reason, and exit code 1."""
    try:
        session, config = open_network(network)
    except Exception as error:  # onnxruntime's errors have no common type
        sys.exit(f"error: {network}: {str(error).splitlines()[0]}")
    names = [value.name for value in session.get_inputs()]
    failures = 0
    for path in images:
        try:
            inputs = prepare(read_image(path), config)
        except (ValueError, cv2.error) as error:
            print(f"error: {path}: {str(error).splitlines()[0]}", file=sys.stderr)
            failures += 1
            continue
        (logits,) = session.run(None, {name: inputs[name] for name in names})[0]
        classes = config["classes"] or [f"class {number}" for number in range(len(logits))]
        given = decide(logits, config.get("task", {}))
        print(path, *(f"{classes[k]} {probability:.3f}" for k, probability in given))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python onnx_predict.py model.onnx photo.jpg ...")
    main(*sys.argv[1:])
