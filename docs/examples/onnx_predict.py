"""Classify photographs with an exported AG-Net: OpenCV, scikit-learn and onnxruntime, no torch.

python onnx_predict.py model.onnx photo.jpg ...
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime
from sklearn.mixture import GaussianMixture


def find_boxes(image, kappa):
    """Group the strongest half of the SIFT points; box each group, each pair of groups, and the whole image."""
    points = sorted(cv2.SIFT_create().detect(image), key=lambda point: -point.response)
    xy = np.unique([point.pt for point in points[: len(points) // 2]], axis=0).reshape(-1, 2) + 0.5
    boxes = np.zeros((kappa * (kappa + 1) // 2 + 1, 4), np.float32)  # zeros: an empty slot
    boxes[-1] = 0, 0, 1, 1
    if len(xy) > kappa:
        label = GaussianMixture(kappa, random_state=0, reg_covar=1e-3).fit_predict(xy)
        groups = sorted(
            (xy[label == k] for k in set(label)),
            key=lambda group: group.mean(axis=0)[::-1].tolist(),
        )
        tight = np.array([[*group.min(axis=0) - 0.5, *group.max(axis=0) + 0.5] for group in groups])
        boxes[: len(tight)] = np.clip(tight / np.tile(image.shape[1::-1], 2), 0, 1)
        for slot, (i, j) in enumerate(zip(*np.triu_indices(kappa, 1), strict=True), kappa):
            if j < len(tight):
                boxes[slot] = (
                    *np.minimum(boxes[i, :2], boxes[j, :2]),
                    *np.maximum(boxes[i, 2:], boxes[j, 2:]),
                )
    return boxes


session = onnxruntime.InferenceSession(sys.argv[1])
config = json.loads(session.get_modelmeta().custom_metadata_map["agnet"])
height, width = config["image_size"]
mean, std = (np.array(config["data_config"][name], np.float32) for name in ("mean", "std"))
for path in sys.argv[2:]:
    image = cv2.resize(
        cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB),
        (width, height),
        interpolation=cv2.INTER_AREA,
    )
    pixels = ((image / np.float32(255) - mean) / std).transpose(2, 0, 1)[None]
    (logits,) = session.run(
        None, {"images": pixels, "boxes": find_boxes(image, config["num_clusters"])[None]}
    )[0]
    best = int(logits.argmax())
    print(
        path,
        config["classes"][best] if config["classes"] else best,
        f"{1 / np.exp(logits - logits[best]).sum():.3f}",
    )
