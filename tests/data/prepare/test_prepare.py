from __future__ import annotations

import dataclasses
import hashlib
import json
import runpy
import shutil
import sys
import zipfile
from collections.abc import Callable
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

PROJECT = Path(__file__).parents[3]
quietly = partial(prepare_dataset, workers=1, show_progress=False)


@pytest.fixture(params=["", "norm_ppmi_12class/"])
def published(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Publish a miniature of PPMI at a file: address, with or without a folder around it."""
    miniatures.ppmi(tmp_path / "source")
    archive = tmp_path / "site" / "norm_ppmi_12class.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted((tmp_path / "source").rglob("*.*")):
            zipped.write(path, request.param + path.relative_to(tmp_path / "source").as_posix())
    remote = RemoteFile(
        archive.name, (archive.as_uri(),), hashlib.md5(archive.read_bytes()).hexdigest()
    )
    one = dict.fromkeys(("train", "test"), (1,) * 24)
    splits = dict.fromkeys(one, 24)
    card = dataclasses.replace(
        card_module.load_card("ppmi"), files=(remote,), splits=splits, counts=one
    )
    for module in (prepare_module, check_module, readers_module):
        monkeypatch.setattr(module, "load_card", lambda name: card)
    return archive.parent


def test_get_and_check(tmp_path: Path, published: Path) -> None:
    result = quietly("ppmi", tmp_path / "data")
    assert result.agrees
    assert sum(result.splits["train"].values()) == 24
    (published / "norm_ppmi_12class.zip").unlink()
    assert quietly("ppmi", tmp_path / "data").agrees  # what is there is not fetched again


def test_mend(tmp_path: Path, published: Path) -> None:
    quietly("ppmi", tmp_path / "data")
    # The root may be the folder around norm_image, whether the archive has that folder or not.
    root = next((tmp_path / "data").rglob("norm_image")).parent
    victims = sorted((root / "norm_image").rglob("*.jpg"))
    victims[0].unlink()
    victims[1].write_text("damaged")
    assert not quietly("ppmi", root).agrees
    assert quietly("ppmi", root, mend=True).agrees
    assert len(list(root.rglob("norm_image"))) == 1


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("aucd_v1", "unpack what the authors sent"),
        ("aucd_v2", "unpack what the authors sent"),
        ("folder", "replace the files it names"),
        ("demo", "it is drawn again on first use"),
    ],
)
def test_mend_is_refused_where_nothing_can_be_unpacked(
    tmp_path: Path, name: str, cure: str
) -> None:
    with pytest.raises(
        ConfigError,
        match=f"mend=true unpacks archives again, but dataset={name} has none; .*{cure}",
    ):
        quietly(name, tmp_path, mend=True)
    assert list(tmp_path.iterdir()) == []


def test_raises_without_download(tmp_path: Path, published: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="download=false"):
        quietly("ppmi", tmp_path / "data", allow_download=False)


def test_raises_root_that_cannot_be_written(tmp_path: Path, published: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(DatasetError, match=f"cannot be put into {root}: .*dataset.root="):
            quietly("ppmi", root)


@pytest.mark.parametrize("name", ["aucd_v1", "aucd_v2"])
def test_licensed_data_is_never_downloaded(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetNotFoundError, match="agreement"):
        quietly(name, tmp_path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | str | None]:
    """Run the tool in this process; gives its exit status or error."""

    def run(*arguments: str) -> int | str | None:
        monkeypatch.syspath_prepend(PROJECT / "tools")
        monkeypatch.setattr(sys, "argv", ["tools/prepare_dataset.py", "workers=1", *arguments])
        try:
            runpy.run_path(str(PROJECT / "tools" / "prepare_dataset.py"), run_name="__main__")
        except SystemExit as end:
            return end.code
        return 0

    return run


def test_tool(
    tmp_path: Path, run: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    miniatures.folder(tmp_path / "data")
    arguments = (
        "dataset=folder",
        f"dataset.root={tmp_path / 'data'}",
        f"report={tmp_path / 'report.json'}",
    )
    assert run(*arguments) == 0
    assert json.loads((tmp_path / "report.json").read_text())["problems"] == []
    assert "it can be used as it is" in capsys.readouterr().out
    (tmp_path / "data" / "train" / "ant" / "x.jpg").write_text("not a picture")
    shutil.copy(tmp_path / "data" / "train" / "ant" / "001.png", tmp_path / "data" / "test" / "ant")
    assert run(*arguments) == 1
    kinds = [
        problem["kind"]
        for problem in json.loads((tmp_path / "report.json").read_text())["problems"]
    ]
    assert kinds == ["undecodable", "duplicate"]
    assert (tmp_path / "report.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dataset=stanford40", "dataset.root=/nowhere", "download=false"), "/nowhere"),
        (("dataset=aucd_v1", "dataset.root=/nowhere"), "agreement"),
        (
            ("dataset=caltech256", "dataset.root=.", "dataset.split_seed=9", "download=false"),
            "dataset.split_seed must be a whole number in [0, 4], got 9",
        ),
    ],
)
def test_tool_raises(run: Callable[..., object], arguments: tuple[str, ...], message: str) -> None:
    assert message in str(run(*arguments))


@pytest.mark.parametrize("wrong", ["dataset.clean=true", "reprot=a.json"])
def test_tool_refuses_misspelt_options(run: Callable[..., object], wrong: str) -> None:
    assert f"there is no option {wrong.partition('=')[0]}" in str(run("dataset=stanford40", wrong))


@pytest.mark.parametrize("option", ["report", "sheet"])
def test_tool_refuses_results_it_could_not_write(
    run: Callable[..., object], tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path, tmp_path / "file" / "out.json"):
        assert "cannot be written" in str(
            run("dataset=aucd_v1", f"dataset.root={tmp_path}", f"{option}={target}")
        )
