"""Where losses and scores are logged: Lightning's loggers."""

from __future__ import annotations

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

from agnet_vision.options.run import LoggerConfig
from agnet_vision.training.build import options_checked


def build_loggers(config: LoggerConfig, run_dir: Path) -> list[Logger]:
    """Create the loggers, the report's CSV file always among them.

    Raises:
        ConfigError: names the package that a logger needs and that is not installed.
    """
    loggers: list[Logger] = [CSVLogger(run_dir, name="csv")]
    options: dict[str, Any]

    with options_checked():
        if config.tensorboard:
            loggers.append(TensorBoardLogger(run_dir, name="tensorboard"))
        if wandb := config.wandb:
            name, project = wandb.run_name, wandb.project
            loggers.append(WandbLogger(name=name, project=project, save_dir=run_dir))
        if mlflow := config.mlflow:
            options = {"experiment_name": mlflow.project} if mlflow.project else {}
            folder = str(run_dir / "mlflow")
            loggers.append(MLFlowLogger(run_name=mlflow.run_name, save_dir=folder, **options))
        if comet := config.comet:
            options = {"offline_directory": str(run_dir / "comet"), "online": True}
            loggers.append(CometLogger(project=comet.project, name=comet.run_name, **options))
    return loggers
