"""From given and stored values to a run's typed options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import Values, compose, merge, nest, read_yaml
from agnet_vision.options.fields import Options
from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.options.validation import look_up, unknown_option, validate

# Options that decide which images are held out.
DRAWN = (
    "seed",
    "dataset.split_seed",
    "dataset.drivers",
    "dataset.val_fraction",
    "dataset.test_fraction",
    "dataset.csv",
    "dataset.group_column",
    "dataset.group_regex",
)


# Options that runs of earlier versions lack: they did what is the default now.
NEWER = ("calibration", "tta")


def training_options(given: Mapping[str, Any]) -> TrainConfig:
    """Make the options of a training.

    Args:
        given: by full name (``{"optimizer.lr": 0.01}``) or nested, choices in short
            (``{"dataset": "folder"}``). With ``resume`` the run in ``run_dir`` goes on with its own
            options, but for those given.

    Raises:
        ConfigError: an option is unknown, missing, or has a value that is not allowed.
    """
    if given.get("resume") is not True:
        config = validate(TrainConfig, compose(given))
        run_dir = _filled(config, config.run_dir)
        if config.resume != "auto":
            return config.model_copy(update={"run_dir": run_dir})
        if run_dir is None:
            raise ConfigError("resume='auto' needs run_dir, the folder that is looked into")
        if not (Path(run_dir) / "last.ckpt").is_file():
            return config.model_copy(update={"run_dir": run_dir, "resume": False})
        own = {name: value for name, value in given.items() if name != "experiment"}
        return training_options({**own, "resume": True, "run_dir": run_dir})
    if "experiment" in given:
        raise ConfigError("a run goes on with its own options; with resume leave experiment out")
    own = nest(given)
    run_dir = validate(TrainConfig, {"run_dir": own.get("run_dir")}).run_dir
    if run_dir is None:
        raise ConfigError("resume needs run_dir, the folder of an interrupted run")
    stored = read_stored(Path(run_dir))
    before, now = (values.get("dataset", {}).get("name") for values in (stored, own))
    if now not in (None, before):
        raise ConfigError(
            f"a run goes on with its own dataset={before}, got {now}; leave dataset out"
        )
    return validate(TrainConfig, merge(stored, own))


def evaluation_options(given: Mapping[str, Any]) -> EvaluateConfig:
    """Make an evaluation's options, by default on its run's dataset.

    Raises:
        ConfigError: as ``training_options``; or an option draws another split of the run's own
            images, so that images it was trained on would be scored.
    """
    own = nest(given)
    stored = run_options(own.get("checkpoint"))
    dataset = own.get("dataset", {}).get("name")
    if stored and dataset in (None, stored["dataset"]["name"]):
        _refuse_other_split(stored, own)
        own = merge({"seed": stored["seed"], "dataset": stored["dataset"]}, _but_null(own))
    elif dataset is None and "checkpoint" in own:
        raise ConfigError(
            f"dataset must be given: at {own['checkpoint']} there is no run "
            "whose own could be taken"
        )
    below = {"seed": 0, "tta": stored.get("tta", "none")}
    config = validate(EvaluateConfig, merge(below, _but_null(own)))
    return config.model_copy(update={"run_dir": _filled(config, config.run_dir)})


def _but_null(values: Values) -> Values:
    """Leave out what is as of the run where it is null."""
    return {
        name: value
        for name, value in values.items()
        if value is not None or name not in ("seed", "tta")
    }


def read_stored(run_dir: Path) -> Values:
    """Read the options a run stored.

    Only options newer than the run may be missing.

    Raises:
        ConfigError: there are none, or they are damaged.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"there is no {path}; run_dir must name the folder of an interrupted run")
    cure = "; put a good copy in its place, or start again with another run_dir"
    stored = read_yaml(path, cure)
    if lacking := [name for name in TrainConfig.model_fields if name not in {*NEWER, *stored}]:
        raise ConfigError(
            f"{path} must hold all options of a run, and lacks {lacking[0]}: "
            f"it is damaged or of another version{cure}"
        )
    return validate(TrainConfig, stored).model_dump()


def stored_text(config: Options) -> str:
    """Write options as a run stores them."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)


def _filled(config: Options, text: str | None) -> str | None:
    """Put the values of options into a path: ``outputs/${seed}``."""
    values = config.model_dump()

    def value(found: re.Match[str]) -> str:
        """Return the value of the option that is named."""
        if (value := look_up(values, found[1])) is None:
            raise ConfigError(f"run_dir: {unknown_option(type(config), found[1])}")
        return str(value)

    return re.sub(r"\$\{([\w.]+)\}", value, text) if text is not None else None


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


def _refuse_other_split(stored: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse options that draw the run's own images anew."""
    root = look_up(own, "dataset.root")
    if root is not None and not is_same(root, look_up(stored, "dataset.root")):
        return  # other images, or the same elsewhere
    for name in DRAWN:
        given, before = look_up(own, name), look_up(stored, name)
        if given is not None and not is_same(given, before):
            raise ConfigError(
                f"{name}={given} may draw another split than the run did, "
                f"and score images it was trained on; give {name}={before}, or leave it out"
            )


def is_same(given: Any, stored: Any) -> bool:
    """Compare two values of an option, files by their place."""
    if isinstance(given, str | Path) and isinstance(stored, str):
        return Path(given).expanduser().resolve() == Path(stored).resolve()
    return given == stored
