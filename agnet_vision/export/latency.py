"""The time an exported network takes for one image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from agnet_vision.errors import extra_needed
from agnet_vision.export.onnx import export_onnx, has_boxes
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.boxes import grid_boxes


def latency_ms(model: AGNet, *, repeats: int = 50) -> float:
    """Time the ONNX network image by image on one core: milliseconds per image.

    It is the time of one thread that computes, so what else the machine does, such as training
    another network, does not count. Finding keypoints is not in it. Weights change nothing: an
    untrained network has the latency of the trained one. The images have the network's own input
    size, all slots are filled, and the median of the passes counts.
    """
    with extra_needed("export"):
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

    classify = {"onnx": lambda: session.run(None, inputs)}
    seconds = time_in_turn(classify, repeats, clock=time.thread_time)
    return 1000 * statistics.median(seconds["onnx"])


def time_in_turn(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time functions in turn, so that whatever else the machine does hits all of them.

    Args:
        functions: functions by name.
        rounds: number of timed calls of each, after one that warms caches.
        clock: seconds of wall time, or of the CPU where the machine does other work.

    Returns:
        Seconds of each round, by name.
    """
    for function in functions.values():
        function()

    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            started = clock()
            function()
            seconds[name].append(clock() - started)
    return seconds
