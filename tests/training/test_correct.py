"""Corrections: a last layer trained again by marks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import agnet_vision
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.training.correct import Fitted, fit_corrected, pays
from agnet_vision.training.embeddings import Embeddings
from agnet_vision.training.last_layer import Layer
from agnet_vision.training.train import train


def spurious(count=200, channels=12, seed=0):
    """Create embeddings whose first channels tell the class truly, the next by a label inside."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (count,), generator=generator)
    inside = torch.zeros(count, channels)
    inside[:, 3:6] = 4 * torch.nn.functional.one_hot(label, 3)
    embedding = torch.randn(count, channels, generator=generator) + inside
    embedding[:, :3] += 2 * torch.nn.functional.one_hot(label, 3)
    rows = torch.arange(20)
    return Embeddings(
        embedding,
        label,
        inside[rows],
        rows,
        torch.zeros(0, 1, 1, channels),
        torch.zeros(0, 1, 1, dtype=torch.bool),
        torch.zeros(0, dtype=torch.int64),
    )


def test_value_a_fitted_layer_no_longer_listens_to_marked_parts():
    stored, start = spurious(), Layer(torch.zeros(3, 12), torch.zeros(3))
    plain = fit_corrected(start, stored, stored, 0, 0.0)
    corrected = fit_corrected(start, stored, stored, 1000, 0.0)

    without = stored.embedding.clone()
    without[:, 3:6] -= 4 * torch.nn.functional.one_hot(stored.label, 3)  # the label taken away
    right = {
        name: (layer.logits(without).argmax(1) == stored.label).float().mean().item()
        for name, layer in {"plain": plain, "corrected": corrected}.items()
    }
    assert right["corrected"] > right["plain"] + 0.1
    assert corrected.weight[:, 3:6].abs().max() < 0.05 * plain.weight[:, 3:6].abs().max()


def test_value_the_fit_is_scikit_learns_without_marks():
    from sklearn.linear_model import LogisticRegression

    stored = spurious(seed=1)
    layer = fit_corrected(Layer(torch.zeros(3, 12), torch.zeros(3)), stored, stored, 0, 0.0)
    oracle = LogisticRegression(C=1 / len(stored.label), tol=1e-8, max_iter=1000)
    oracle.fit(stored.embedding.numpy(), stored.label.numpy())
    expected = oracle.predict_proba(stored.embedding.numpy())
    found = layer.logits(stored.embedding).softmax(1).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)


def fitted(accuracy, kept_out):
    """Describe a layer of the path."""
    return Fitted(1.0, Layer(torch.zeros(2, 2), torch.zeros(2)), accuracy, 0.0, kept_out)


@pytest.mark.parametrize(
    ("accuracy", "kept_out", "expected"),
    [(0.7, 0.5, True), (0.7, 0.85, False), (0.5, 0.5, False)],
)
def test_value_a_step_pays_where_other_marks_lose_evidence(accuracy, kept_out, expected):
    without = fitted(0.8, 1.0)
    assert pays(without, fitted(accuracy, kept_out), without, max_cost=0.2) is expected


def test_value_no_step_pays_where_no_marks_were_kept_out():
    without = fitted(0.8, 0.0)
    assert not pays(without, fitted(0.8, 0.0), without, max_cost=0.2)


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    """Train a tiny network, with and without regions."""
    from tests.training.tiny import TINY, training

    folder = tmp_path_factory.mktemp("runs")
    for name in ("full", "backbone_only"):
        words = (f"dataset.root={images}", f"run_dir={folder / name}", f"model={name}")
        train(training(*TINY, *words))
    return folder


def write_marks(run, path, looks=("no", "yes")):
    """Mark the middle of a few training images."""
    rows = RunFolder(run).splits.read_text().splitlines()[1:]
    names = [row.split(",")[0] for row in rows if row.split(",")[2] == "train"][:4]
    lines = [f"{name},0.3,0.3,0.7,0.7,{look}" for name in names for look in looks]
    path.write_text("\n".join(["path,x0,y0,x1,y1,look", *lines]) + "\n")
    return path


@pytest.mark.parametrize("variant", ["full", "backbone_only"])
def test_value_a_corrected_run(run, variant, tmp_path):
    before = {path.name: path.read_bytes() for path in (run / variant).glob("*.*")}
    marks = write_marks(run / variant, tmp_path / "marks.csv")
    corrected = agnet_vision.correct(
        run / variant, marks, run_dir=tmp_path / "new", weight=100, workers=0, device="cpu"
    )

    assert {path.name: path.read_bytes() for path in (run / variant).glob("*.*")} == before
    told = json.loads((tmp_path / "new" / "correction.json").read_text())
    assert told["weight"] == 100
    assert told["path"][1]["evidence"] < told["path"][0]["evidence"]
    assert told["marked_images"] == {"train": 4, "val": 0, "test": 0}
    assert told["before"]["evidence_kept_out"] > told["path"][0]["evidence_kept_out"] / 2
    assert {row["split"] for row in told["shown"]} == {"train"}
    np.testing.assert_allclose(told["shown"][0]["boxes"], [[0.3, 0.3, 0.7, 0.7]] * 2, atol=1e-6)
    assert corrected.metrics["checkpoint"] == str(tmp_path / "new" / "best.ckpt")
    page = RunFolder(tmp_path / "new").report.read_text()
    assert "<h2>Correction</h2>" in page
    assert page.count("evidence before and after") >= 4

    old = agnet_vision.load_model(run / variant).state_dict()
    new = corrected.load_model().state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"head.classifier.linear.weight", "head.classifier.linear.bias"}

    scored = agnet_vision.evaluate(corrected.folder, run_dir=tmp_path / "scored", report=False)
    for name in ("acc", "mAP", "loss"):
        assert scored.metrics[name] == pytest.approx(corrected.metrics[name], abs=1e-5)
        earlier = RunFolder(tmp_path / "new").before.read_metrics()[name]
        assert earlier == pytest.approx(RunFolder(run / variant).read_metrics()[name], abs=1e-5)


def test_raises_for_what_cannot_be_corrected(run, tmp_path):
    place = run / "backbone_only"
    marks = write_marks(place, tmp_path / "marks.csv")
    with pytest.raises(ConfigError, match="holds a run already"):
        agnet_vision.correct(place, marks, run_dir=place)
    agnet_vision.load_model(place).save_pretrained(tmp_path / "saved")
    with pytest.raises(ConfigError, match="must be of a run"):
        agnet_vision.correct(tmp_path / "saved", marks, run_dir=tmp_path / "new")

    listed = [line.split(",") for line in RunFolder(place).splits.read_text().splitlines()]
    test = next(row[0] for row in listed if row[2] == "test")
    marks.write_text(f"path,x0,y0,x1,y1\n{test},0,0,1,1\n")
    with pytest.raises(DatasetError, match="are on none of the 21 training images"):
        agnet_vision.correct(place, marks, run_dir=tmp_path / "new")
    assert not (tmp_path / "new").exists()
