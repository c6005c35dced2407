"""Where losses and scores are logged: Lightning's loggers."""

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
    for name, module in NEEDS.items():
        chosen = getattr(config, name) is not None
        if chosen and importlib.util.find_spec(module) is None:
            package = module.replace("_", "-")
            raise ConfigError(
                f"logger={name} needs {package}, which is not installed; pip install {package}"
            )


def build_loggers(config: LoggerConfig, run_dir: Path) -> list[Logger]:
    """Create the loggers, the report's CSV file always among them."""
    loggers: list[Logger] = [CSVLogger(run_dir, name="csv")]
    options: dict[str, Any]
    if config.tensorboard:
        loggers.append(TensorBoardLogger(run_dir, name="tensorboard"))
    if wandb := config.wandb:
        loggers.append(WandbLogger(project=wandb.project, name=wandb.run_name, save_dir=run_dir))
    if mlflow := config.mlflow:
        options = {"experiment_name": mlflow.project} if mlflow.project else {}
        folder = str(run_dir / "mlflow")
        loggers.append(MLFlowLogger(run_name=mlflow.run_name, save_dir=folder, **options))
    if comet := config.comet:
        options = {"offline_directory": str(run_dir / "comet"), "online": True}
        loggers.append(CometLogger(project=comet.project, name=comet.run_name, **options))
    return loggers
