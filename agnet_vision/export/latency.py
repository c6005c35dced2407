"""The time an exported network takes for one image."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from agnet_vision.export.onnx import export_onnx, has_boxes, require
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.boxes import grid_boxes

WARM_UP = 5  # ours: the runtime allocates in its first passes


def latency_ms(model: AGNet, *, repeats: int = 50) -> float:
    """Time the ONNX network image by image on one core.

    It is the time of one thread that computes, so what else the machine does, such as training
    another network, does not count. Finding keypoints is not in it. Weights change nothing: an
    untrained network has the latency of the trained one.

    Args:
        model: the network; the images have its own input size, and all slots are filled.
        repeats: passes; the median counts.

    Returns:
        Milliseconds an image.

    Raises:
        ConfigError: the packages that write and run ONNX are not installed.
    """
    require("onnx", "onnxruntime", "onnxscript")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the calling thread itself
    with TemporaryDirectory() as folder:
        path = export_onnx(model, Path(folder) / "model.onnx")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    size = model.data_config["input_size"]
    images = np.random.default_rng(0).standard_normal((1, *size), dtype=np.float32)
    inputs = {"images": images}
    if has_boxes(model):
        boxes, _ = grid_boxes(model.head.num_clusters)
        inputs["boxes"] = boxes[None].astype(np.float32)

    seconds = []
    for _ in range(WARM_UP + repeats):
        began = time.thread_time()
        session.run(None, inputs)
        seconds.append(time.thread_time() - began)
    return 1000 * statistics.median(seconds[WARM_UP:])
