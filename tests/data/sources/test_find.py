from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import DatasetNotFoundError
from tests.cli.saved import given
from tests.data import miniatures
from tests.data.miniatures import WRITERS


@pytest.mark.parametrize("name", [*miniatures.WRITERS])
def test_missing_root_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetNotFoundError) as error:
        read_samples(name, tmp_path / "nowhere")
    for part in (
        str(tmp_path / "nowhere"),
        f"agnet prepare dataset={name}",
        "dataset.root=",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("stanford40", "ImageSplits"),
        ("aucd_v1", "v1_cam1_no_split/Test_data_list.csv"),
        ("aucd_v2", "v2_cam1_cam2_ split_by_driver/Camera 2"),
        ("food101", "food-101/meta"),
    ],
)
def test_half_unpacked_names_the_missing_half(tmp_path: Path, name: str, part: str) -> None:
    WRITERS[name](tmp_path)
    path = tmp_path / part
    path.unlink() if path.is_file() else shutil.rmtree(path)
    with pytest.raises(DatasetNotFoundError) as raised:
        read_listing(name, tmp_path)
    assert f"{path} missing" in str(raised.value).splitlines()[0]


def test_the_command_in_a_message_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(DatasetNotFoundError, match=f"'dataset.root={tmp_path}/a file'") as raised:
        read_listing("ppmi", tmp_path / "a file")
    assert "a file is not a folder" in str(raised.value)
    odd = tmp_path / "my (photos), é"
    with pytest.raises(DatasetNotFoundError) as raised:
        read_listing("ppmi", odd)
    (_, _, option) = shlex.split(str(raised.value).rpartition("agnet ")[2])
    assert given("prepare", option) == {"dataset.root": str(odd)}
