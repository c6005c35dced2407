from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.image import (
    FORMATS,
    READ_SUFFIXES,
    check_images,
    has_16_bits,
    read_image,
)
from agnet_vision.errors import ImageReadError


@pytest.fixture
def image() -> np.ndarray:
    """Left half red, right half blue, 8 x 12 pixels."""
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, :6, 0], image[:, 6:, 2] = 255, 255
    return image


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "RGBA", "1", "LA"])
def test_value_of_any_mode(tmp_path: Path, image: np.ndarray, mode: str) -> None:
    path = tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}"
    stored = Image.fromarray(image).convert(mode)
    stored.save(path)
    for source in (path, path.read_bytes()):
        read = read_image(source)
        np.testing.assert_array_equal(read, np.asarray(stored.convert("RGB")))
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
def test_exif_orientation(tmp_path: Path, image: np.ndarray, suffix: str, orientation: int) -> None:
    """The image is read upright, as a viewer shows it."""
    # Orientation -> the inverse of Pillow's transposition.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = Image.fromarray(image)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    best = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}
    stored.save(tmp_path / f"a{suffix}", exif=exif, **best.get(suffix, {}))
    difference = read_image(tmp_path / f"a{suffix}").astype(int) - image
    assert np.abs(difference).max() < 60


@pytest.mark.parametrize(
    ("mode", "color", "suffix", "expected"),
    [
        ("CMYK", (0, 255, 255, 0), "jpg", (255, 0, 0)),
        ("L", 77, "jpg", (77, 77, 77)),
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),  # transparent: laid over white
    ],
)
def test_value_of_one_color(
    tmp_path: Path, mode: str, color: Any, suffix: str, expected: tuple[int, int, int]
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (16, 16), color).save(path)
    np.testing.assert_allclose(read_image(path)[8, 8], expected, atol=60 if mode == "CMYK" else 0)


def test_value_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif")[0, 0], [255, 0, 0])


def test_value_sixteen_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 256, 32768, 65535]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 0], [0, 1, 128, 255])


@pytest.mark.parametrize("name", ["gray.png", "gray.tif", "color.png", "color.tif"])
def test_sixteen_bits_are_told_from_eight(tmp_path: Path, name: str) -> None:
    for dtype in (np.uint8, np.uint16):
        shape = (4, 4, 3) if "color" in name else (4, 4)
        cv2.imwrite(str(tmp_path / name), np.zeros(shape, dtype))
        assert has_16_bits(tmp_path / name) == (dtype is np.uint16)


def test_raises_on_what_is_no_readable_image(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.jpg").touch()
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "decimal.tif")
    Image.new("1", (1, 70_000)).save(tmp_path / "thin.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    for name, message in (
        ("text.jpg", r"text\.jpg as an image: it is not an image in a known format"),
        ("empty.jpg", "not an image"),
        ("missing.jpg", "no such file"),
        (".", "directory"),
        ("decimal.tif", "no defined range"),
        ("thin.png", "a side of 70,000 pixels is more than 65,535"),
        ("bomb.png", "pixels"),
    ):
        with pytest.raises(ImageReadError, match=message):
            read_image(tmp_path / name)
    with pytest.raises(ImageReadError, match="cannot read <4 bytes> as an image"):
        read_image(b"text")


def test_an_image_of_108_megapixels_is_read_where_the_limit_is_not_lower(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (12_000, 9_000), 77).save(path)
    read = read_image(path)
    assert read.shape == (9_000, 12_000, 3)
    assert (read[::500, ::500] == 77).all()
    with pytest.raises(ImageReadError, match="12000 x 9000 is more than 40,000,000 pixels"):
        read_image(path, max_pixels=40_000_000)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_raises_truncated(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise).save(path)
    check_images([path])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageReadError):
        read_image(path)
    with pytest.raises(ImageReadError):
        check_images([path])


def test_check_decodes_only_in_doubt(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"a.{suffix}" for suffix in ("jpg", "png", "bmp")]
    for path in paths:
        Image.fromarray(image).save(path)
    paths[0].write_bytes(paths[0].read_bytes() + bytes(40))  # cameras pad with zeros
    read: list[Path] = []
    monkeypatch.setattr("agnet_vision.data.image.read_image", read.append)
    check_images(paths)
    assert read == paths[2:]


def test_check_images_counts_bad_files(tmp_path: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(tmp_path / "good.png")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("not an image")
    match = r"a\.jpg as an image: it is not an image.*; and 2 more cannot be read; repair"
    with pytest.raises(ImageReadError, match=match):
        check_images([*sorted(tmp_path.iterdir()), tmp_path / "gone.jpg"])


def test_every_named_format_is_read(image: np.ndarray) -> None:
    for name in FORMATS:
        content = io.BytesIO()
        Image.fromarray(image).save(content, name)
        assert read_image(content.getvalue()).shape == image.shape, name


@pytest.mark.parametrize("name", ["EPS", "ICO", "TGA", "PCX", "PDF"])
def test_no_other_decoder_is_reached(tmp_path: Path, image: np.ndarray, name: str) -> None:
    """The content decides who reads a file, not its name: PostScript would start Ghostscript."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, name)
    for suffix in READ_SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(content.getvalue())
        with pytest.raises(ImageReadError, match="not an image in a known format"):
            read_image(tmp_path / f"a{suffix}")


def test_an_error_of_any_decoder_names_the_file(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise NotImplementedError("an error no list foresaw")

    Image.fromarray(image).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(ImageReadError, match=r"a\.png as an image: an error no list foresaw"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".webp", ".jpg"])
def test_broken_metadata_is_as_if_there_were_none(
    tmp_path: Path, image: np.ndarray, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / f"a{suffix}", exif=exif)
    content = bytearray((tmp_path / f"a{suffix}").read_bytes())
    start = max(content.find(b"II*\0"), content.find(b"MM\0*"))
    content[start : start + 4] = b"junk"
    assert read_image(bytes(content)).shape == image.shape


@pytest.mark.slow
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_mutated_images_are_read_or_refused(name: str) -> None:
    content = io.BytesIO()
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    exif = {"exif": Image.Exif()} if name in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    Image.fromarray(coarse).resize((60, 40)).save(content, name, **exif)
    for seed in range(1500):
        rng = np.random.default_rng(seed)
        mutated = np.frombuffer(content.getvalue(), np.uint8).copy()
        where = rng.integers(0, min(len(mutated), (60, len(mutated))[seed % 2]), rng.integers(1, 6))
        mutated[where] = rng.integers(0, 256, len(where))
        try:
            read = read_image(mutated.tobytes(), max_pixels=1_000_000)
        except ImageReadError:
            continue
        assert read.dtype == np.uint8
        assert read.shape[2] == 3
