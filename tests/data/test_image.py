from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.image import glance, glance_all, read_image
from agnet_vision.errors import ImageReadError


@pytest.fixture
def picture() -> np.ndarray:
    """Left half red, right half blue, 8 rows and 12 columns."""
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, :6, 0], image[:, 6:, 2] = 255, 255
    return image


def test_value_png(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read, picture)
    assert read.flags.c_contiguous
    assert read.flags.writeable


def test_value_jpeg_equals_pillow(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (9, 14, 3), np.uint8)
    Image.fromarray(noise).resize((140, 90)).save(tmp_path / "a.jpg", quality=90)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.jpg"), np.asarray(Image.open(tmp_path / "a.jpg"))
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(
    tmp_path: Path, picture: np.ndarray, suffix: str, orientation: int
) -> None:
    """Whatever the stored orientation, a viewer shows the picture upright: undo it on save, get it back on reading."""
    undo = {
        2: 0,
        3: 3,
        4: 1,
        5: 5,
        6: 2,
        7: 6,
        8: 4,
    }  # orientation -> the inverse of Pillow's transposition
    stored = Image.fromarray(picture)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(
        suffix, {}
    )
    stored.save(tmp_path / f"a{suffix}", exif=exif, **options)
    difference = read_image(tmp_path / f"a{suffix}").astype(int) - picture
    assert np.abs(difference).max() < 60


def test_modes(tmp_path: Path, picture: np.ndarray) -> None:
    for mode in ("P", "CMYK", "L", "1", "RGBA", "LA"):
        name = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.fromarray(picture).convert(mode).save(name)
        read = read_image(name)
        assert read.shape == (8, 12, 3), mode
        if mode in ("P", "RGBA", "CMYK"):
            np.testing.assert_array_equal(read, picture)


def test_value_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    red = read_image(tmp_path / "a.jpg")[8, 8].astype(int)
    assert red[0] > 200
    assert red[1:].max() < 60


def test_value_grey_jpeg(tmp_path: Path) -> None:
    Image.new("L", (16, 16), 77).save(tmp_path / "a.jpg")
    assert (read_image(tmp_path / "a.jpg") == 77).all()


def test_value_sixteen_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 256, 32768, 65535]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 0], [0, 1, 128, 255])


def test_transparency_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


def test_animation_gives_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif")[0, 0], [255, 0, 0])


def test_reduced_decoding(tmp_path: Path) -> None:
    """A large JPEG may be decoded at a fraction of its size, never below the side that is asked for."""
    coarse = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    Image.fromarray(coarse).resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg")
    full, small = read_image(tmp_path / "a.jpg"), read_image(tmp_path / "a.jpg", min_side=256)
    assert full.shape == (1200, 1600, 3)
    assert small.shape == (300, 400, 3)
    expected = np.asarray(Image.fromarray(full).resize((400, 300), Image.Resampling.BOX)).astype(
        int
    )
    assert np.abs(small - expected).mean() < 2
    assert read_image(tmp_path / "a.jpg", min_side=700).shape == full.shape


def test_raises_text_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(ImageReadError, match=r"a\.jpg"):
        read_image(tmp_path / "a.jpg")


def test_raises_missing_empty_and_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for name in ("missing.jpg", "empty.jpg", "."):
        with pytest.raises(ImageReadError):
            read_image(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_raises_truncated(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    glance(path)
    path.write_bytes(content[: len(content) // 2])
    for look in (read_image, glance):
        with pytest.raises(ImageReadError):
            look(path)


def test_glance_decodes_only_in_doubt(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"a.{suffix}" for suffix in ("jpg", "png", "bmp")]
    for path in paths:
        Image.fromarray(picture).save(path)
    paths[0].write_bytes(paths[0].read_bytes() + bytes(40))  # cameras pad with zeros
    read = []
    monkeypatch.setattr("agnet_vision.data.image.read_image", lambda path, **_: read.append(path))
    glance_all(paths)
    assert read == paths[2:]


def test_glance_all_names_every_bad_file(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "good.png")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_text("not an image")
    with pytest.raises(
        ImageReadError,
        match=r"a\.jpg as an image: it is not an image.*; and 2 more .*b\.jpg, .*c\.jpg",
    ):
        glance_all(sorted(tmp_path.iterdir()))
    with pytest.raises(ImageReadError, match="no such file"):
        glance(tmp_path / "gone.jpg")


def test_raises_too_large(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(ImageReadError, match="12 x 8 is more than 95 pixels"):
        read_image(tmp_path / "a.png", max_pixels=95)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ImageReadError, match="pixels"):
        read_image(tmp_path / "bomb.png")


def test_raises_undefined_range(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageReadError, match="range"):
        read_image(tmp_path / "a.tif")


def test_error_survives_a_worker(tmp_path: Path) -> None:
    error = pickle.loads(pickle.dumps(ImageReadError(tmp_path, "damaged")))
    assert (error.path, error.reason) == (tmp_path, "damaged")
