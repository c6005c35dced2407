"""The options of each dataset, chosen by ``dataset=NAME``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from agnet_vision.options.fields import LocalPath, Options, Place, Text, option


class Dataset(Options):
    """Options that every dataset has."""

    name: str
    root: LocalPath | None = option("folder of the data; null: datasets/<name>/data")


class HeldOut(Dataset):
    """Options of a dataset without a validation split of its own."""

    val_fraction: FiniteFloat = option(
        "part of train that is held out, by class, where there is no val (ours; the papers: 0)",
        bound="val_fraction",
    )
    group_regex: Text | None = option(
        "pattern whose first parenthesis, or whole match, is the person or thing that an image "
        "shows by its path; what is held out takes whole groups",
    )


class BothHeldOut(HeldOut):
    """Options of the user's own data, which may have no test split either."""

    test_fraction: FiniteFloat = option(
        "part of train that is held out where there is no test (ours)", bound="test_fraction"
    )
    group_column: Text | None = option(
        "column naming who an image is of; a group stays on one side of a split"
    )


class Demo(Dataset):
    """The demo set, painted by this library."""

    name: Literal["demo"] = option("the dataset")


class Folder(BothHeldOut):
    """A folder of the user's own images."""

    name: Literal["folder"] = option("the dataset")
    csv: LocalPath | None = option(
        "a CSV with the columns path,label[,split], or labels for several, or COCO's JSON, instead "
        "of class folders"
    )
    # With defaults, since runs of earlier versions have not stored them.
    label_columns: list[Text] | None = option(
        "columns of csv with a label each: 1, 0, or ? or nothing where it is unknown",
        rule="a list of columns such as [open,short]",
        default=None,
    )
    label_separator: Text | None = option(
        "what parts the names in the column labels of csv; null: |", default=None
    )


class HuggingFace(BothHeldOut):
    """A Hugging Face dataset, from the Hub or on disk."""

    name: Literal["hf"] = option("the dataset")
    path: Place = option("name on the Hub, folder, or Parquet file")
    subset: Text | None = option("configuration of the dataset; null: its only one")
    image_column: Text | None = option("column of images; null: the only one of that type")
    label_column: Text | None = option(
        "column of labels, or of lists of them; null: the only one of that type, or called label"
    )


class AucdV2(HeldOut):
    """The second version of the AUC distracted drivers, split by driver."""

    name: Literal["aucd_v2"] = option("the dataset")
    clean: bool = option("leave out the test images of the one driver who is in train, too")
    drivers: LocalPath | None = option(
        "CSV with the columns path,driver: then validation is held out by driver"
    )


class Published(HeldOut):
    """A published dataset without options of its own."""

    name: Literal["aucd_v1", "stanford40", "ppmi", "food101"] = option("the dataset")


class Caltech256(HeldOut):
    """Caltech's 256 objects, and a class of clutter."""

    name: Literal["caltech256"] = option("the dataset")
    split_seed: int = option(
        "number of the list of training images, of five; report the mean over them", ge=0, le=4
    )


DatasetConfig = Annotated[
    Demo | Folder | HuggingFace | AucdV2 | Published | Caltech256, Field(discriminator="name")
]
