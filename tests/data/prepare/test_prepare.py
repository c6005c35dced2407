from __future__ import annotations

import dataclasses
import hashlib
import shutil
import zipfile
from functools import partial
from pathlib import Path

import pytest

from agnet_vision.data.prepare import check as check_module
from agnet_vision.data.prepare import prepare as prepare_module
from agnet_vision.data.prepare.prepare import prepare_dataset
from agnet_vision.data.sources import card as card_module
from agnet_vision.data.sources import readers as readers_module
from agnet_vision.data.sources.card import RemoteFile
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError
from tests.data import miniatures

quietly = partial(prepare_dataset, workers=1, show_progress=False)


@pytest.fixture(params=["", "norm_ppmi_12class/"])
def published(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Publish a miniature of PPMI, with or without a folder around it."""
    miniatures.ppmi(tmp_path / "source")
    archive = tmp_path / "site" / "norm_ppmi_12class.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted((tmp_path / "source").rglob("*.*")):
            zipped.write(path, request.param + path.relative_to(tmp_path / "source").as_posix())
    remote = RemoteFile(
        archive.name, ("http://publisher/ppmi.zip",), hashlib.md5(archive.read_bytes()).hexdigest()
    )
    one = dict.fromkeys(("train", "test"), (1,) * 24)
    splits = dict.fromkeys(one, 24)
    card = dataclasses.replace(
        card_module.load_card("ppmi"), files=(remote,), splits=splits, counts=one
    )
    for module in (prepare_module, check_module, readers_module):
        monkeypatch.setattr(module, "load_card", lambda name: card)
    monkeypatch.setattr(
        "pooch.HTTPDownloader", lambda **_: lambda url, part, _: shutil.copy(archive, part)
    )
    return archive.parent


def test_get_and_check(tmp_path: Path, published: Path) -> None:
    result = quietly("ppmi", tmp_path / "data")
    assert result.agrees
    assert sum(result.splits["train"].values()) == 24
    (published / "norm_ppmi_12class.zip").unlink()
    assert quietly("ppmi", tmp_path / "data").agrees  # what is there is not fetched again


def test_repair(tmp_path: Path, published: Path) -> None:
    quietly("ppmi", tmp_path / "data")
    # The root may be the folder around norm_image, whether the archive has that folder or not.
    root = next((tmp_path / "data").rglob("norm_image")).parent
    victims = sorted((root / "norm_image").rglob("*.jpg"))
    victims[0].unlink()
    victims[1].write_text("damaged")
    assert not quietly("ppmi", root).agrees
    assert quietly("ppmi", root, repair=True).agrees
    assert len(list(root.rglob("norm_image"))) == 1


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("aucd_v1", "unpack what the authors sent"),
        ("folder", "replace the files it names"),
        ("demo", "it is drawn again on first use"),
    ],
)
def test_repair_is_refused_where_nothing_can_be_unpacked(
    tmp_path: Path, name: str, cure: str
) -> None:
    message = f"repair unpacks archives again, but .* has none; .*{cure}"
    with pytest.raises(ConfigError, match=message):
        quietly(name, tmp_path, repair=True)
    assert list(tmp_path.iterdir()) == []


def test_raises_without_download(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="may not be downloaded"):
        quietly("ppmi", tmp_path / "data", allow_download=False)


def test_raises_root_that_cannot_be_written(tmp_path: Path, published: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "inside"):
        message = f"cannot be put into {root}: .*choose another dataset.root"
        with pytest.raises(DatasetError, match=message):
            quietly("ppmi", root)


@pytest.mark.parametrize("name", ["aucd_v1", "aucd_v2"])
def test_licensed_data_is_never_downloaded(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetNotFoundError, match="agreement"):
        quietly(name, tmp_path)
