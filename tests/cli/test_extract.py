"""``agnet extract`` as it is typed: what it stores is there the next time."""

from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.data.cache.store import RegionCache, default_cache_folder
from agnet_vision.regions.proposer import RegionProposer
from tests.cli.saved import call, write_folder


def test_value_all_splits_are_stored_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_folder(tmp_path / "data")
    words = ("dataset=folder", f"dataset.root={root}", "workers=1", "progress=false")
    call("extract", *words, "regions.num_clusters=3")
    cache = RegionCache(default_cache_folder(root), RegionProposer(num_clusters=3))
    said = capsys.readouterr().out
    assert len(cache) == 18
    assert said.startswith("18 images in ")
    assert f"stored in {cache.path}" in said

    monkeypatch.setattr(RegionProposer, "keypoints_many", lambda self, images: 1 / len(images))
    call("extract", *words, "regions.num_clusters=3")
    assert capsys.readouterr().out.startswith("18 images in ")


def test_value_cache_dir(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data")
    words = (f"dataset.root={root}", f"cache_dir={tmp_path / 'there'}", "workers=1")
    call("extract", "dataset=folder", *words, "progress=false")
    assert len(RegionCache(tmp_path / "there", RegionProposer())) == 18
    assert not default_cache_folder(root).exists()
