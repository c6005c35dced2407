"""``agnet faithfulness`` as it is typed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.cli.saved import call, save_network, write_folder


def test_value_writes_areas_and_curves_of_the_images_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = save_network(tmp_path / "saved")
    images = write_folder(tmp_path / "data") / "train"
    output, figure = tmp_path / "found.json", tmp_path / "curves.png"
    words = (f"checkpoint={network}", f"images={images}", "count=2", "seed=5", "device=cpu")
    call("faithfulness", *words, "progress=false", f"output={output}", f"figure={figure}")

    found = json.loads(output.read_text())
    assert (found["images"], found["seed"]) == (2, 5)
    assert set(found["areas"]) == set(found["mean_curves"])
    assert {"evidence", "attention", "Grad-CAM", "random regions"} <= set(found["areas"])
    for name, kinds in found["mean_curves"].items():
        for kind, curve in kinds.items():
            area = sum(a + b for a, b in itertools.pairwise(curve)) / 2 / (len(curve) - 1)
            assert found["areas"][name][kind][0] == pytest.approx(area, abs=1e-3)
    assert figure.read_bytes()[:4] == b"\x89PNG"
    assert "2 images" in capsys.readouterr().out


def test_value_evidence_inside_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = save_network(tmp_path / "saved")
    images = write_folder(tmp_path / "data") / "train"
    names = [path.relative_to(images).as_posix() for path in sorted(images.rglob("*.png"))][:3]
    boxes, output = tmp_path / "boxes.csv", tmp_path / "found.json"
    rows = [f"{name},0,0,1,1" for name in names]
    boxes.write_text("\n".join(["path,x0,y0,x1,y1", *rows]) + "\n")
    words = (f"checkpoint={network}", f"images={images}", f"boxes={boxes}", f"output={output}")
    call("faithfulness", *words, "device=cpu", "progress=false", "count=2")

    found = json.loads(output.read_text())["labels"]["all"]
    assert found["images"] == 2
    assert (found["energy"]["value"], found["pointing"]["value"], found["chance"]) == pytest.approx(
        (1, 1, 1)
    )
    assert "energy in box" in capsys.readouterr().out

    call("faithfulness", *words, "device=cpu", "progress=false", "count=1")
    alone = json.loads(output.read_text(), parse_constant=pytest.fail)["labels"]["all"]
    assert alone["energy"] == {"value": pytest.approx(1), "low": None, "high": None}
