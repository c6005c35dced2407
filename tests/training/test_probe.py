"""Probes: heads on stored maps, compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import agnet_vision
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from agnet_vision.training.stored_heads import fit_average, fit_by_steps, outputs
from agnet_vision.training.stored_maps import StoredMaps

CPU = torch.device("cpu")
OPTIONS = {
    "backbone": "test_resnet.r160_in1k",
    "backbone.pretrained": False,
    "regions.num_clusters": 2,
    "image_size": 96,
    "epochs": 2,
    "batch_size": 4,
    "workers": 0,
    "device": "cpu",
    "report": False,
}


def separable(count, channels, seed):
    """Create maps whose mean tells the class by its first channels."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (count,), generator=generator)
    maps = torch.randn(count, channels, 3, 3, generator=generator)
    maps[:, :3] += 0.7 * torch.nn.functional.one_hot(label, 3)[:, :, None, None]
    return StoredMaps(maps.half().numpy(), None, label)


def network(pooling):
    """Create a network without regions."""
    return AGNet(
        "test_resnet.r160_in1k", 3, variant="backbone_only", head_kwargs={"pooling": pooling}
    ).eval()


def test_value_average_pooling_is_scikit_learns_regression():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    model = network("average")
    train, val = (
        separable(count, model.head.in_channels, seed) for count, seed in ((300, 0), (200, 1))
    )
    weight_decay = fit_average(model, train, val, 0.0, CPU)

    pooled = [each.maps.astype(np.float64).mean(axis=(2, 3)) for each in (train, val)]
    scaler = StandardScaler().fit(pooled[0])
    oracle = LogisticRegression(C=1 / (weight_decay * 300), tol=1e-8, max_iter=2000)
    oracle.fit(scaler.transform(pooled[0]), train.label.numpy())
    expected = oracle.predict_proba(scaler.transform(pooled[1]))
    found = outputs(model.head, val, CPU).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    """Probe with all heads."""
    folder = tmp_path_factory.mktemp("probe")
    return agnet_vision.probe(
        "folder", images, run_dir=folder / "run", cache_dir=folder / "cache", **OPTIONS
    )


def test_value_the_run_folder_is_that_of_a_training(run, images, tmp_path):
    told = json.loads((run.folder / "probe.json").read_text())
    assert [row["head"] for row in told["heads"]] == [
        "average",
        "attention",
        "backbone_only",
        "no_attention",
        "full",
    ]
    chosen = next(row for row in told["heads"] if row["head"] == told["chosen"])
    assert chosen["val_acc"]["value"] == max(row["val_acc"]["value"] for row in told["heads"])
    assert chosen["val_acc_minus_best"] == {"value": 0.0, "low": 0.0, "high": 0.0}

    scored = agnet_vision.evaluate(run.folder, run_dir=tmp_path / "scored", report=False)
    for name in ("acc", "mAP", "loss"):
        assert scored.metrics[name] == pytest.approx(run.metrics[name], abs=2e-3)

    name = RunFolder(run.folder).splits.read_text().splitlines()[1].split(",")[0]
    marks = tmp_path / "marks.csv"
    marks.write_text(f"path,x0,y0,x1,y1\n{name},0.2,0.2,0.6,0.6\n")
    corrected = agnet_vision.correct(
        run.folder, marks, run_dir=tmp_path / "corrected", weight=10, workers=0, report=False
    )
    assert corrected.metrics["num_images"] == run.metrics["num_images"]


@pytest.mark.parametrize("head", ["average", "full"])
def test_value_stored_maps_are_used_again(run, head, images, tmp_path, monkeypatch):
    cache = run.folder.parent / "cache"
    times = {path: path.stat().st_mtime_ns for path in cache.glob("*.npy")}
    assert len(times) == 6  # maps and regions of three splits

    def refuse(*_):
        raise AssertionError("maps are computed again")

    monkeypatch.setattr("agnet_vision.training.stored_maps.MapStore._maps", refuse)
    monkeypatch.setattr("agnet_vision.training.stored_maps._boxes_and_mask", refuse)
    options = OPTIONS | {"heads": [head], "run_dir": tmp_path / "run"}
    again = agnet_vision.probe("folder", images, cache_dir=cache, **options)
    told = json.loads((again.folder / "probe.json").read_text())
    first = json.loads((run.folder / "probe.json").read_text())
    assert told["chosen"] == head
    before = next(row for row in first["heads"] if row["head"] == head)
    assert told["heads"][0]["val_mAP"] == before["val_mAP"]
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*.npy")} == times


def test_a_head_trained_on_maps_learns(configure):
    model = network("mixed")
    model.backbone.requires_grad_(False)
    before = {name: each.clone() for name, each in model.backbone.state_dict().items()}
    train = separable(300, model.head.in_channels, 0)
    fit_by_steps(model, train, configure("epochs=5", "optimizer.lr=0.01"), CPU)
    right = outputs(model.head, train, CPU).argmax(dim=1) == train.label
    assert right.float().mean() > 0.8
    for name, each in model.backbone.state_dict().items():
        torch.testing.assert_close(each, before[name])


def test_raises_for_what_cannot_be_probed(run, images, tmp_path):
    options = OPTIONS | {"run_dir": tmp_path / "new", "cache_dir": tmp_path / "cache"}
    with pytest.raises(ConfigError, match=r"fit into max_gb=1e-05, and .* GB; give max_gb=1,"):
        agnet_vision.probe("folder", images, **options, max_gb=1e-5)
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="holds a run already"):
        agnet_vision.probe("folder", images, **options | {"run_dir": run.folder})
    with pytest.raises(ConfigError, match="heads must be"):
        agnet_vision.probe("folder", images, **options, heads=["max"])
