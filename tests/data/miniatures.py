"""Writers of a miniature of every official layout, traps included."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from agnet_vision.data.sources.card import datasets_folder


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (40, 32)) -> Path:
    """Write a smooth random image, unlike that of any other seed and alike under recompression."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def write_images(paths: Iterable[Path], first_seed: int = 0) -> None:
    """Write a different image to each path."""
    for seed, path in enumerate(paths, start=first_seed):
        write_image(path, seed)


def classes_of(name: str) -> list[str]:
    """Read the class names straight from the card's YAML."""
    return yaml.safe_load((datasets_folder() / name / "card.yaml").read_text())["classes"]


def aucd_v1(root: Path) -> None:
    """Two images per class and split; one listed file is missing, as is the folder before it."""
    top, number = root / "v1_cam1_no_split", 0
    for split in ("Train", "Test"):
        rows = []
        for label, name in enumerate(classes_of("aucd_v1")):
            for _ in range(2):
                number += 1
                write_image(top / name / f"{number}.jpg", number)
                rows.append((f"/distracted.driver/{name}/{number}.jpg", label))
        with (top / f"{split}_data_list.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("Image", "Label"), *rows])
    (top / "Drive Safe" / "2.jpg").unlink()


def aucd_v2(root: Path, folder: str = "v2_cam1_cam2_ split_by_driver") -> None:
    """Two images per camera, split and class; the driver of images 320 to 416 is in both splits."""
    top, number = root / folder, 0
    for camera in ("Camera 1", "Camera 2"):
        for split in ("train", "test"):
            for label in range(10):
                for _ in range(2):
                    number += 1
                    write_image(top / camera / split / f"c{label}" / f"{1000 + number}.jpg", number)
    write_images((top / "Camera 1" / "test" / "c0" / f"{n}.jpg" for n in (321, 322, 415, 416)), 500)


def stanford40(root: Path) -> None:
    """One image per class and split, one list with Windows line ends, and lists nobody uses."""
    for label, name in enumerate(classes_of("stanford40")):
        for i, split in enumerate(("train", "test")):
            write_image(root / "JPEGImages" / f"{name}_{i + 1:03d}.jpg", 2 * label + i)
            (root / "ImageSplits").mkdir(exist_ok=True)
            end = "\r\n" if label == 0 else "\n"
            (root / "ImageSplits" / f"{name}_{split}.txt").write_bytes(
                f"{name}_{i + 1:03d}.jpg{end}".encode()
            )
    for name in ("train", "test", "actions"):
        (root / "ImageSplits" / f"{name}.txt").write_text("unused\n")


def ppmi(root: Path) -> None:
    """One image per class and split, the French horn as one word, as nobody promised otherwise."""
    number = 0
    for name in classes_of("ppmi"):
        kind, _, instrument = name.partition("_")
        for split in ("train", "test"):
            number += 1
            folder = (
                root / "norm_image" / f"{kind}_instrument" / instrument.replace("_", "") / split
            )
            write_image(folder / f"ppmi_{number}.jpg", number)
    (root / "README").write_text("of the archive\n")


def food101(root: Path) -> None:
    """One image per class and split in the archive's folder, with lists as text and JSON."""
    top, names = root / "food-101", classes_of("food101")
    (top / "meta").mkdir(parents=True)
    for number, split in enumerate(("train", "test")):
        lines = [f"{name}/{1000 * (number + 1) + label}" for label, name in enumerate(names)]
        write_images((top / "images" / f"{line}.jpg" for line in lines), 200 * number)
        (top / "meta" / f"{split}.txt").write_text("\n".join(lines) + "\n")
        (top / "meta" / f"{split}.json").write_text(json.dumps(lines))
    (top / "meta" / "classes.txt").write_text("\n".join(names) + "\n")


def caltech256(root: Path) -> None:
    """All 29,780 images (links to a few files), clutter, and the strays RENAME2 and greg."""
    top = root / "256_ObjectCategories"
    sources = [write_image(root / "sources" / f"{i}.jpg", i) for i in range(4)]
    card = yaml.safe_load((datasets_folder() / "caltech256" / "card.yaml").read_text())
    counts = zip([*card["classes"], "257.clutter"], [*card["totals"], 8], strict=True)
    for label, (name, count) in enumerate(counts):
        (top / name).mkdir(parents=True)
        for number in range(1, count + 1):
            (top / name / f"{name[:3]}_{number:04d}.jpg").hardlink_to(sources[label % 4])
    (top / "198.spider" / "RENAME2").write_text("a stray script\n")
    write_image(top / "056.dog" / "greg" / "vision309" / "056_0001.jpg")


def folder(root: Path, *, split: bool = True, per_class: int = 6) -> None:
    """Three classes, one of them in another script."""
    number = 0
    for part in ("train", "val", "test") if split else ("",):
        for name in ("ant", "bee", "шмель"):
            for _ in range(per_class):
                number += 1
                write_image(root / part / name / f"{number:03d}.png", number)


WRITERS: dict[str, Callable[[Path], None]] = {
    "aucd_v1": aucd_v1,
    "aucd_v2": aucd_v2,
    "stanford40": stanford40,
    "ppmi": ppmi,
    "food101": food101,
    "caltech256": caltech256,
    "folder": folder,
}
