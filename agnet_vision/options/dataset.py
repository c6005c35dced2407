"""The options of each dataset, chosen by ``dataset=NAME``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, FiniteFloat, Tag

from agnet_vision.options.fields import LocalPath, Options, Place, Text, option

TEST_FRACTION = option("held out of train where there is no test (ours)", bound="test_fraction")


class Dataset(Options):
    """What every dataset has."""

    name: str
    root: LocalPath | None = option("where it lies; null: datasets/<name>/data")


class HeldOut(Dataset):
    """A dataset without a validation split of its own."""

    val_fraction: FiniteFloat = option(
        "held out of train where there is no val, by class (ours; the papers: 0)",
        bound="val_fraction",
    )
    group_regex: Text | None = option(
        "finds in a path whom or what the image shows, by its first parenthesis or all it matches; "
        "what is held out takes whole groups",
    )


class Demo(Dataset):
    """The painted set."""

    name: Literal["demo"] = option("the dataset")


class Folder(HeldOut):
    """A folder of one's own."""

    name: Literal["folder"] = option("the dataset")
    test_fraction: FiniteFloat = TEST_FRACTION
    csv: LocalPath | None = option(
        "a CSV with the columns path,label[,split] instead of class folders"
    )
    group_column: Text | None = option(
        "column of that CSV naming who an image is of; a group stays on one side of a split"
    )


class HuggingFace(HeldOut):
    """A Hugging Face dataset, from the Hub or on disk."""

    name: Literal["hf"] = option("the dataset")
    path: Place = option("name on the Hub, folder, or Parquet file")
    subset: Text | None = option("which of the dataset's configurations; null: its only one")
    test_fraction: FiniteFloat = TEST_FRACTION
    image_column: Text | None = option("column of images; null: the only one of that type")
    label_column: Text | None = option(
        "column of labels; null: the only one of that type, or the one called label"
    )
    group_column: Text | None = option(
        "column naming who an image is of; a group stays on one side of a split"
    )


class AucdV1(HeldOut):
    """Distracted drivers, the first version."""

    name: Literal["aucd_v1"] = option("the dataset")


class AucdV2(HeldOut):
    """Distracted drivers, split by driver."""

    name: Literal["aucd_v2"] = option("the dataset")
    clean: bool = option("leave out the test images of the one driver who is in train, too")
    drivers: LocalPath | None = option(
        "CSV with the columns path,driver: then validation is held out by driver"
    )


class Stanford40(HeldOut):
    """Human actions."""

    name: Literal["stanford40"] = option("the dataset")


class Ppmi(HeldOut):
    """People and musical instruments."""

    name: Literal["ppmi"] = option("the dataset")


class Food101(HeldOut):
    """Dishes."""

    name: Literal["food101"] = option("the dataset")


class Caltech256(HeldOut):
    """Objects."""

    name: Literal["caltech256"] = option("the dataset")
    split_seed: int = option(
        "which of the five lists of training images; report the mean over them", ge=0, le=4
    )


def _name(value: Any) -> Any:
    """Tell pydantic which dataset is meant."""
    return value.get("name") if isinstance(value, dict) else getattr(value, "name", None)


DatasetConfig = Annotated[
    Annotated[Demo, Tag("demo")]
    | Annotated[Folder, Tag("folder")]
    | Annotated[HuggingFace, Tag("hf")]
    | Annotated[AucdV1, Tag("aucd_v1")]
    | Annotated[AucdV2, Tag("aucd_v2")]
    | Annotated[Stanford40, Tag("stanford40")]
    | Annotated[Ppmi, Tag("ppmi")]
    | Annotated[Food101, Tag("food101")]
    | Annotated[Caltech256, Tag("caltech256")],
    Discriminator(_name),
]
