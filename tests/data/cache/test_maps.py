"""Stored arrays of images."""

from __future__ import annotations

import numpy as np
import pytest

from agnet_vision.data.cache.maps import array_path, images_digest, stored_array
from agnet_vision.errors import CacheError, ImageReadError

VALUES = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float16)


class Counted:
    """Parts of an array, and how often they were asked for."""

    calls = 0

    def __call__(self):
        self.calls += 1
        yield from (VALUES[:2], VALUES[2:])


def test_value_an_array_is_computed_once_and_read_by_numpy(tmp_path):
    parts, path = Counted(), tmp_path / "new" / "maps.npy"
    for _ in range(2):
        found = stored_array(path, VALUES.shape, "float16", parts)
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, VALUES)
    assert parts.calls == 1
    np.testing.assert_array_equal(np.load(path), VALUES)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "longer", "not an array"])
def test_a_damaged_array_is_computed_again(damage, tmp_path):
    parts, path = Counted(), tmp_path / "maps.npy"
    stored_array(path, VALUES.shape, "float16", parts)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    damaged = {"flipped": content, "cut": content[:-7], "empty": b"", "longer": content + b"0"}
    path.write_bytes(damaged.get(damage, b"text"))
    np.testing.assert_array_equal(stored_array(path, VALUES.shape, "float16", parts), VALUES)
    assert parts.calls == 2


def test_a_failed_computation_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="must hold 6 images, got 5"):
        stored_array(tmp_path / "maps.npy", (6, 2, 3), "float16", Counted())
    assert not list(tmp_path.iterdir())


def test_names_follow_content(tmp_path):
    for name, content in {"a": b"1", "b": b"2", "c": b"1"}.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in "abc"]
    digest = images_digest(paths)
    assert digest == images_digest([paths[2], paths[1], paths[0]])  # a and c are the same
    assert digest != images_digest([paths[1], paths[0], paths[2]])
    assert digest != images_digest(paths[:2])

    first = array_path(tmp_path, "maps", digest, {"size": 224, "name": "net"})
    assert first == array_path(tmp_path, "maps", digest, {"name": "net", "size": 224})
    assert first != array_path(tmp_path, "maps", digest, {"name": "net", "size": 225})
    assert first.name.startswith("maps-")


def test_raises_for_files_that_cannot_be_used(tmp_path):
    with pytest.raises(ImageReadError, match="missing"):
        images_digest([tmp_path / "missing"])
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="choose another cache_dir"):
        stored_array(tmp_path / "file" / "maps.npy", VALUES.shape, "float16", Counted())
