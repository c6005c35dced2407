"""Rows of a cache, packed by hand-worked numbers."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from agnet_vision.data.cache.rows import (
    SCHEMA,
    Signature,
    encode_row,
    hash_content,
    hash_path,
    signature_of,
    write_rows,
)
from agnet_vision.errors import ImageReadError
from agnet_vision.structures import Keypoints

SIGNATURE = Signature(1, 2, 3)


def points(xy: list[tuple[float, float]], response: list[float]) -> Keypoints:
    return Keypoints(
        np.array(xy, np.float32).reshape(-1, 2),
        np.array(response, np.float32),
        np.arange(len(xy), dtype=np.int64),
    )


def test_value_positions_are_fractions_of_the_sides() -> None:
    found = points([(0, 0), (100, 50), (25, 50)], [1.0, 4.0, 2.0])
    row = encode_row("/a.png", SIGNATURE, b"x" * 16, (100, 50), found)
    assert row["x"].tolist() == [0, 65535, 16384]  # 65535 / 4 = 16383.75
    assert row["y"].tolist() == [0, 65535, 65535]
    assert (row["width"], row["height"]) == (100, 50)
    assert row["scale"] == 4
    assert row["response"].tolist() == [0.25, 1.0, 0.5]
    assert row["group"].tolist() == [0, 1, 2]
    assert (row["size"], row["mtime_ns"], row["ctime_ns"]) == SIGNATURE


@pytest.mark.parametrize("found", [points([], []), points([(3, 4)], [0.0])])
def test_nothing_to_scale_by(found: Keypoints) -> None:
    row = encode_row("/a.png", SIGNATURE, b"x" * 16, (10, 10), found)
    assert row["scale"] == 1
    assert row["response"].tolist() == found.response.tolist()


def test_value_digests(tmp_path: Path) -> None:
    path = tmp_path / "é.png"
    path.write_bytes(b"content")
    assert hash_content(str(path)) == blake2b(b"content", digest_size=16).digest()
    assert hash_path("/é") == int.from_bytes(
        blake2b("/é".encode(), digest_size=8).digest(), "little"
    )
    stat = os.stat(path)
    assert signature_of(str(path)) == (7, stat.st_mtime_ns, stat.st_ctime_ns)
    with pytest.raises(ImageReadError, match="No such file"):
        hash_content(str(tmp_path / "nothing.png"))


def test_a_shard_is_ordered_and_named_by_its_bytes(tmp_path: Path) -> None:
    rows = [
        encode_row(f"/{name}.png", SIGNATURE, b"x" * 16, (10, 10), points([(1, 2)], [1]))
        for name in "abcdef"
    ]
    path = write_rows(tmp_path, rows)
    assert path == write_rows(tmp_path, rows[::-1])
    assert path.stem == blake2b(path.read_bytes(), digest_size=16).hexdigest()
    table = pa.ipc.open_file(path).read_all()
    assert table.schema == SCHEMA
    hashes = table["path_hash"].to_pylist()
    assert hashes == sorted(hash_path(row["path"]) for row in rows)
