"""Where losses and scores are logged: Lightning's loggers, by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import (
    CometLogger,
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)

from agnet_vision.errors import ConfigError
from agnet_vision.options.run import LoggerConfig

# Logger -> module it needs; the package has a hyphen instead of the underscore.
NEEDS = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "comet": "comet_ml",
}


def check_loggers(config: LoggerConfig) -> None:
    """Refuse loggers whose package is not installed.

    Raises:
        ConfigError: names the package.
    """
    for name in config.name:
        module = NEEDS.get(name)
        if module is not None and importlib.util.find_spec(module) is None:
            package = module.replace("_", "-")
            raise ConfigError(
                f"logger={name} needs {package}, which is not installed; pip install {package}"
            )


def build_loggers(config: LoggerConfig, run_dir: Path) -> list[Logger]:
    """Make the loggers, the report's CSV file always among them."""
    loggers: list[Logger] = [CSVLogger(run_dir, name="csv")]
    return loggers + [_build(name, config, run_dir) for name in config.name if name != "csv"]


def _build(name: str, config: LoggerConfig, run_dir: Path) -> Logger:
    options: dict[str, Any]
    match name:
        case "tensorboard":
            return TensorBoardLogger(run_dir, name="tensorboard")
        case "wandb":
            return WandbLogger(project=config.project, name=config.run_name, save_dir=run_dir)
        case "mlflow":
            options = {"experiment_name": config.project} if config.project else {}
            return MLFlowLogger(
                run_name=config.run_name, save_dir=str(run_dir / "mlflow"), **options
            )
        case _:
            options = {"offline_directory": str(run_dir / "comet"), "online": True}
            return CometLogger(project=config.project, name=config.run_name, **options)
