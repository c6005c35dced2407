"""Forged shards, made to mislead or to crash the reader.

Their names fit their bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from agnet_vision.data.cache.rows import SCHEMA, Signature, encode_row, hash_path, write_rows
from agnet_vision.data.cache.shards import Shard
from agnet_vision.errors import CacheError
from agnet_vision.structures import Keypoints

KAPPA, SIZE = 8, (70, 60)


def points(seed: int) -> Keypoints:
    rng = np.random.default_rng(seed)
    count = 5 * seed
    xy = (rng.random((count, 2)) * SIZE).astype(np.float32)
    return Keypoints(xy, rng.random(count).astype(np.float32), rng.integers(0, KAPPA, count))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Write a shard of six images, one without points."""
    rows = [
        encode_row(f"/images/{i}.png", Signature(i, 2, 3), bytes([i]) * 16, SIZE, points(i))
        for i in range(6)
    ]
    return write_rows(tmp_path, rows)


def named_by_content(folder: Path, content: bytes) -> Path:
    path = folder / f"{blake2b(content, digest_size=16).hexdigest()}.arrow"
    path.write_bytes(content)
    return path


def read_everything(path: Path) -> None:
    """Open a shard and read all rows.

    They must be usable.
    """
    shard = Shard(path, num_clusters=KAPPA)
    for row in range(len(shard)):
        found = shard.keypoints(row)
        assert len(found.xy) == len(found.response) == len(found.group)
        assert np.isfinite(found.xy).all()
        assert np.isfinite(found.response).all()
        assert ((found.group >= 0) & (found.group < KAPPA)).all()
        assert len(shard.content(row)) == 16
        assert all(isinstance(value, int) for value in shard.signature(row))


def test_value_round_trip(shard: Path) -> None:
    read_everything(shard)
    opened = Shard(shard, num_clusters=KAPPA)
    for i in range(6):
        (row,) = opened.rows_of(hash_path(f"/images/{i}.png"))
        found, expected = opened.keypoints(row), points(i)
        np.testing.assert_allclose(found.xy, expected.xy, atol=70 / 65535)
        np.testing.assert_array_equal(found.group, expected.group)
        assert opened.signature(row) == Signature(i, 2, 3)
    assert len(opened.rows_of(12345)) == 0


@pytest.mark.parametrize("where", ["anywhere", "at the ends"])
def test_forged_bytes_are_refused_or_harmless(shard: Path, where: str) -> None:
    content, refused = shard.read_bytes(), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        forged = bytearray(content)
        for _ in range(rng.integers(1, 6)):
            position = int(rng.integers(len(forged)))
            if where == "at the ends":  # where the description of the table is
                position = int(rng.integers(1500)) * int(rng.choice([1, -1]))
            forged[position] = int(rng.integers(256))
        try:
            read_everything(named_by_content(shard.parent, bytes(forged)))
        except CacheError:
            refused += 1
    assert refused > 50


def rewrite(shard: Path, change: Callable[[dict[str, list]], None]) -> Path:
    """Change a shard's columns, and name it by content."""
    with pa.memory_map(str(shard)) as source:
        columns = pa.ipc.open_file(source).read_all().to_pydict()
    change(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
    return named_by_content(shard.parent, sink.getvalue().to_pybytes())


def put(column: str, value: object) -> Callable[[dict[str, list]], None]:
    def change(columns: dict[str, list]) -> None:
        longest = max(range(6), key=lambda row: len(columns["x"][row]))
        if isinstance(columns[column][longest], list):
            columns[column][longest][0] = value
        else:
            columns[column][longest] = value

    return change


def drop_a_point(columns: dict[str, list]) -> None:
    next(values for values in columns["y"] if values).pop()


def move_a_point(columns: dict[str, list]) -> None:
    """Give one row a point of another, in one column."""
    filled = [values for values in columns["group"] if values]
    filled[0].append(filled[1].pop())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("group", KAPPA), "a group is not below 8"),
        (put("group", None), "a point is missing"),
        (put("width", 0), "side is not within 1 to 65,535"),
        (put("height", 4_000_000_000), "side is not within"),
        (put("scale", float("nan")), "a response is not a number"),
        (put("response", np.float16("inf")), "a response is not a number"),
        (put("mtime_ns", None), "a value is missing"),
        (put("path_hash", 2**64 - 1), "not in order"),
        (drop_a_point, "lists differ in length"),
        (move_a_point, "lists differ in length"),
    ],
)
def test_raises_forged_values(
    shard: Path, change: Callable[[dict[str, list]], None], message: str
) -> None:
    with pytest.raises(CacheError, match=message):
        Shard(rewrite(shard, change), num_clusters=KAPPA)


def test_raises_another_number_of_tables(shard: Path) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA):
        pass
    path = named_by_content(shard.parent, sink.getvalue().to_pybytes())
    with pytest.raises(CacheError, match="0 tables instead of one"):
        Shard(path, num_clusters=KAPPA)
