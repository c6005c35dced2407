"""From given and stored values to a run's typed options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agnet_vision.errors import ConfigError, as_typed
from agnet_vision.options.compose import Composed, Values, compose, lay_over, read_yaml
from agnet_vision.options.fields import Options
from agnet_vision.options.probe import ProbeConfig
from agnet_vision.options.run import CorrectConfig, EvaluateConfig, TrainConfig
from agnet_vision.options.validation import look_up, validate

# Options that decide which images are held out; a run must not train on those it is tested on.
DRAWN = (
    "seed",
    "dataset.split_seed",
    "dataset.drivers",
    "dataset.val_fraction",
    "dataset.test_fraction",
    "dataset.group_column",
    "dataset.group_regex",
)
# Options that the stored weights, the best score, or the state of the optimizer depend on.
KEPT = (
    "backbone.name",
    "backbone.kwargs",
    "backbone.output_stride",
    "backbone.taps",
    "backbone.freeze_at",
    "model.variant",
    "model.head",
    "regions.num_clusters",
    "augmentation.view",
    "augmentation.crop_fraction",
    "augmentation.test_scale",
    "optimizer.name",
    "optimizer.layer_decay",
    "monitor",
    "guide.marks",
    "guide.look",
)
# Options that say which images are meant.
PLACES = ("dataset.root", "dataset.csv", "dataset.path", "dataset.subset")


def training_options(given: Mapping[str, Any]) -> TrainConfig:
    """Compose and check the options of a training; see ``compose`` and ``check_training``."""
    return check_training(compose("train", given))


def check_training(composed: Composed) -> TrainConfig:
    """Check the options of a training.

    With ``resume=true`` the run in ``run_dir`` goes on with its own options, but for those given;
    with ``resume=auto``, if there is one.

    Raises:
        ConfigError: an option is unknown, missing, or has a value that is not allowed.
    """
    values = composed.values
    is_named = "run_dir" in composed.names
    resume, run_dir = values.get("resume"), values.get("run_dir")
    if is_named and isinstance(run_dir, str | Path):
        last = Path(run_dir).expanduser() / "last.ckpt"
        if resume is True or (resume == "auto" and last.is_file()):
            return _resumed(composed, last.parent)

    if (resume is True or resume == "auto") and not is_named:
        raise ConfigError(f"resume={as_typed(resume)} needs run_dir, the folder of the run")
    config = validate(TrainConfig, {**values, "run_dir_is_new": not is_named})
    return config.model_copy(update={"resume": False})


def _resumed(composed: Composed, run_dir: Path) -> TrainConfig:
    """Lay what is given over the options of the run that goes on."""
    if "experiment" in composed.names and composed.values["resume"] is True:
        raise ConfigError("a run goes on with its own options; with resume leave experiment out")
    stored = lay_over(read_stored(run_dir), {})  # a list stays a list
    values = lay_over(stored, {**composed.given, "resume": True, "run_dir": str(run_dir)})
    names = ["dataset.name", *KEPT, *DRAWN]
    if (stored["ema_decay"] is None) != (values["ema_decay"] is None):
        names.append("ema_decay")
    for name in names:
        before, now = look_up(stored, name), look_up(values, name)
        if before != now:
            raise ConfigError(
                f"a run goes on with its own {name}={as_typed(before)}, "
                f"got {as_typed(now)}; with resume leave {name} out"
            )
    return validate(TrainConfig, values)


def evaluation_options(given: Mapping[str, Any]) -> EvaluateConfig:
    """Compose and check the options of an evaluation."""
    return check_evaluation(compose("evaluate", given))


def check_evaluation(composed: Composed) -> EvaluateConfig:
    """Check the options of an evaluation, which is by default of its run's own dataset.

    Raises:
        ConfigError: an option is wrong, or draws another split of the run's own images, so that
            images it was trained on would be scored.
    """
    values, own = dict(composed.values), composed.given
    values["run_dir_is_new"] = "run_dir" not in composed.names
    stored = run_options(values.get("checkpoint"))
    dataset = own.get("dataset.name")
    if stored and dataset in (None, stored["dataset"]["name"]):
        given = {name: value for name, value in own.items() if name.startswith("dataset.")}
        values |= lay_over({"dataset": stored["dataset"]}, given)
    elif dataset is None and "checkpoint" in values:
        raise ConfigError(
            f"there is no run at checkpoint={values['checkpoint']} whose dataset could be taken; "
            "give dataset, or another checkpoint"
        )
    else:
        stored = {**stored, "seed": 0}

    for name, default in {"seed": 0, "tta": "none"}.items():
        if values.get(name) is None:
            values[name] = stored.get(name, default)
    for name in DRAWN if has_own_images(stored, values) else ():
        now, before = look_up(values, name), look_up(stored, name)
        if not is_same(now, before):
            raise ConfigError(
                f"{name}={as_typed(now)} may draw another split than the run did, and score images "
                f"it was trained on; give {name}={as_typed(before)}, or leave it out"
            )
    return validate(EvaluateConfig, values)


def correction_options(given: Mapping[str, Any]) -> CorrectConfig:
    """Compose and check the options of a correction."""
    return check_correction(compose("correct", given))


def check_correction(composed: Composed) -> CorrectConfig:
    """Check the options of a correction."""
    is_new = "run_dir" not in composed.names
    return validate(CorrectConfig, {**composed.values, "run_dir_is_new": is_new})


def probe_options(given: Mapping[str, Any]) -> ProbeConfig:
    """Compose and check the options of a probe."""
    return check_probe(compose("probe", given))


def check_probe(composed: Composed) -> ProbeConfig:
    """Check the options of a probe."""
    is_new = "run_dir" not in composed.names
    return validate(ProbeConfig, {**composed.values, "run_dir_is_new": is_new})


def training_of_probe(config: ProbeConfig, variant: str, pooling: str) -> TrainConfig:
    """Return the options of a training that makes a probe's network: its backbone stays frozen."""
    values = compose("train", {"dataset": config.dataset.name}).values
    own = config.model_dump(exclude={"heads", "max_gb", "device"})
    own["freeze_backbone_epochs"] = config.epochs
    own["model"] = {"variant": variant, "head": {**values["model"]["head"], "pooling": pooling}}
    return validate(TrainConfig, {**values, **own, "calibration": "none", "tta": "none"})


def read_stored(run_dir: Path) -> Values:
    """Read the options a run stored; those that were added since have their defaults.

    Raises:
        ConfigError: there are none, or they are damaged.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"there is no {path}; run_dir must name the folder of an interrupted run")
    cure = "; put a good copy in its place, or start again with another run_dir"
    stored = read_yaml(path, cure)
    try:
        chosen = look_up(stored, "dataset.name")
        defaults = compose("train", {"dataset": chosen} if chosen else {}).values
        del defaults["run_dir"]
        return validate(TrainConfig, _filled(stored, defaults)).model_dump()
    except ConfigError as error:
        raise ConfigError(f"{path} is damaged or of another version: {error}{cure}") from error


def _filled(stored: Mapping[str, Any], defaults: Mapping[str, Any]) -> Values:
    """Take from the defaults what is not stored."""
    filled = {**defaults, **stored}
    for name, default in defaults.items():
        if isinstance(default, Mapping) and isinstance(filled[name], Mapping):
            filled[name] = _filled(filled[name], default)
    return filled


def stored_text(config: Options) -> str:
    """Write options as a run stores them."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)


def run_folder_of(checkpoint: str | Path) -> Path:
    """Return a checkpoint's folder, whether a run's or not."""
    place = Path(checkpoint).expanduser()
    return place if place.is_dir() else place.parent


def run_options(checkpoint: Any) -> Values:
    """Read dataset and seed of a checkpoint's run, if any."""
    if not isinstance(checkpoint, str | Path):
        return {}
    path = run_folder_of(checkpoint) / "config.yaml"
    if not path.is_file():
        return {}
    cure = "; without the file, give dataset and seed yourself"
    stored = read_yaml(path, cure)
    if look_up(stored, "dataset.name") is None or "seed" not in stored:
        raise ConfigError(
            f"{path} must hold the options of a run, and names no dataset or seed{cure}"
        )
    return stored


def has_own_images(stored: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Tell whether options mean the images of the run that stored its own, where it had them."""
    return all(
        is_same(look_up(values, name), look_up(stored, name)) for name in ("dataset.name", *PLACES)
    )


def is_same(given: Any, stored: Any) -> bool:
    """Compare two values of an option, files by their place."""
    if isinstance(given, str | Path) and isinstance(stored, str):
        return Path(given).expanduser().resolve() == Path(stored).resolve()
    return given == stored
