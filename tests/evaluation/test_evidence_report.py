"""Where the evidence lies: clusters, shares and groups against hand-worked numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agnet_vision.data.marks import read_marks
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.evaluation.evidence_report import (
    accuracy_by_group,
    alike,
    border_share,
    listed_images,
    mean_maps,
)
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.explain.suspects import Suspect
from tests.evaluation.conftest import make_run


def suspect(number: int, *, cells: object = 1.0, feature: object = 1.0, target: int = 0) -> Suspect:
    """Make an image's evidence on a map of 4 x 4 cells."""
    return Suspect(
        path=Path(f"{number}.png"),
        box=(0.0, 0.25, 0.5, 0.75),
        share=0.5,
        target=target,
        cells=np.broadcast_to(np.asarray(cells, dtype=np.float32), (4, 4)),
        feature=np.asarray(feature, dtype=np.float32),
        outside_hull=None,
    )


def test_value_what_is_the_same_again_and_again_comes_first() -> None:
    rng = np.random.default_rng(0)
    same = [suspect(n, feature=np.eye(30)[0] + 0.01 * rng.normal(size=30)) for n in range(8)]
    varied = [suspect(n, feature=rng.normal(size=30)) for n in range(8, 20)]
    clusters = alike([*varied, *same])
    assert {each.path for each in clusters[0]} == {each.path for each in same}
    assert alike(same) == []  # too few to be compared


def test_value_shares_and_means_by_hand() -> None:
    corner = np.zeros((4, 4))
    corner[0, 0] = 3
    corner[1, 1] = 1
    corner[2, 2] = -5  # speaks against, and does not count
    found = [suspect(n, cells=corner, target=1) for n in range(5)] + [suspect(5), suspect(6)]
    share, area = border_share(found)
    assert area == 12 / 16
    assert share == pytest.approx((5 * 3 / 4 + 2 * 12 / 16) / 7)
    maps = mean_maps(found, ("ant", "bee"))
    assert [card.name for card in maps] == ["all classes", "bee"]  # two images are too few
    assert maps[1].share == pytest.approx(3 / 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run whose list has its first 24 images as tests of two groups, and 16 to train on."""
    root = tmp_path_factory.mktemp("listed")
    make_run(root, "all", images=40)
    path = make_run(root, "run", images=24)
    groups = ["a"] * 10 + ["b"] * 12 + ["few"] * 2 + [""] * 16
    rows = [
        f"{n}.png,bee,{'test' if n < 24 else 'train'},{group}" for n, group in enumerate(groups)
    ]
    RunFolder(path).splits.write_text("\n".join(["path,label,split,group", *rows]) + "\n")
    return path


def test_value_the_report_writes_marks_of_training_images(run: Path) -> None:
    page = write_report(run).read_text()
    assert "16 training images" in page
    assert "The same again and again" in page
    table = [Sample(run.parent / "data" / f"{number}.png", 0) for number in range(24, 40)]
    samples = SampleTable("folder", run.parent / "data", ("bee",), {"train": table})
    assert read_marks(RunFolder(run).suspects, samples).count(table) >= 5


def test_value_groups_are_scored_the_worst_first(run: Path) -> None:
    results = RunFolder(run).read_results()
    hits = {"a": results.hits[:10].mean(), "b": results.hits[10:22].mean()}
    groups = accuracy_by_group(results)
    assert [group.name for group in groups] == sorted(hits, key=lambda name: hits[name])
    for group in groups:
        assert group.accuracy.value == pytest.approx(hits[group.name])
        assert group.accuracy.low < hits[group.name] <= group.accuracy.high


def test_names_of_a_list_may_begin_below_the_root(run: Path) -> None:
    results = RunFolder(run).read_results()
    deeper = replace(results, paths=[f"inner/{path}" for path in results.paths])
    assert listed_images(deeper)["inner/30.png"].path == "30.png"
    elsewhere = replace(results, paths=["x/other.png"])
    assert listed_images(elsewhere) == {}
