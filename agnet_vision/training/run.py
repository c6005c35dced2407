"""``train``: configuration -> run folder; everything of a run that is not training itself."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from agnet_vision.checkpoint import read_checkpoint
from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.samples import SampleTable
from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.model import AGNet
from agnet_vision.report import write_report
from agnet_vision.training.artifacts import environment, plot_curves, read_history, write_json
from agnet_vision.training.build import (
    build_callbacks,
    build_data,
    build_loggers,
    build_model,
    build_module,
    build_table,
    build_trainer,
    require_samples,
)
from agnet_vision.training.evaluation import quieten_lightning, test_and_write
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.options import check_options
from agnet_vision.training.pretrained import check_backbone

# Lightning starts the other processes of a run on this machine with this process's environment.
RUN_DIR_VARIABLE = "AGNET_RUN_DIR"


def train(config: DictConfig) -> dict[str, Any] | None:
    """Train, test and write the run folder.

    Args:
        config: what ``conf/train.yaml`` composes to, resolved; with ``resume`` true, the run's own stored configuration.

    Returns:
        The scores on the test split; None without a test, and on all processes but the first.

    Raises:
        AGNetError: an option, the dataset, or a file is not right.
        KeyboardInterrupt: after Ctrl-C; ``last.ckpt`` is saved.
    """
    started = time.time()
    quieten_lightning()
    run_dir = claim_run_dir(config)
    check_options(config)
    last = run_dir / "last.ckpt" if config.resume else None
    if last is not None:
        check_resumable(read_checkpoint(last), config, run_dir)
    table = build_table(config)
    require_samples(table, "train")
    check_backbone(config.backbone.name, pretrained=config.backbone.pretrained, checkpoint=config.backbone.checkpoint)
    model = build_model(config, table.classes)
    data = build_data(config, table, model)
    module = build_module(config, model, data.class_counts())
    callbacks = build_callbacks(config, run_dir, has_validation=bool(table.splits["val"]))
    trainer = build_trainer(config, run_dir, callbacks, build_loggers(config, run_dir))
    record = begin_record(config, run_dir, model)
    if trainer.is_global_zero:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_config(config, run_dir)
        # Before other processes start and wait: a large set takes longer than they would.
        data.prepare_data()
    try:
        fit(trainer, module, data, last)
    finally:
        record["wall_time_seconds"] += time.time() - started
        record["epochs"] = trainer.current_epoch
        if trainer.is_global_zero:
            write_json(run_dir / "run.json", {**environment(module.device), **record})
    return finish(config, run_dir, table, trainer, module, data, record)


def begin_record(config: DictConfig, run_dir: Path, model: AGNet) -> dict[str, Any]:
    """Start what ``run.json`` says of a run; of a resumed one, go on with its first command and the time it has taken."""
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    record: dict[str, Any] = {"seed": config.seed, "wall_time_seconds": 0.0, "parameters": trainable}
    if config.resume and (run_dir / "run.json").is_file():
        before = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
        record |= {name: before[name] for name in ("command", "wall_time_seconds") if name in before}
    return record


def fit(trainer: pl.Trainer, module: AGNetModule, data: pl.LightningDataModule, last: Path | None) -> None:
    """Run Lightning's training; turn its exit after Ctrl-C back into KeyboardInterrupt."""
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    except SystemExit as exit_request:
        if trainer.interrupted:
            raise KeyboardInterrupt from exit_request
        raise


def finish(
    config: DictConfig,
    run_dir: Path,
    table: SampleTable,
    trainer: pl.Trainer,
    module: AGNetModule,
    data: AGNetDataModule,
    record: dict[str, Any],
) -> dict[str, Any] | None:
    """Test the best weights, and write what belongs in the run folder."""
    if trainer.is_global_zero:
        plot_curves(run_dir / "curves.png", read_history(run_dir))
    scores = None
    if config.test and table.splits["test"]:
        module.load_state_dict(read_checkpoint(run_dir / "best.ckpt")["state_dict"])
        scores = test_and_write(trainer, module, data, table, run_dir, split="test", record=record)
        if scores is not None and config.report:
            write_report(run_dir)
    return scores


def claim_run_dir(config: DictConfig) -> Path:
    """Return the run's folder; a folder that already holds a run is only touched by ``resume=true``.

    Raises:
        ConfigError: it holds a run, or has none to go on with.
    """
    if RUN_DIR_VARIABLE in os.environ and os.environ.get("LOCAL_RANK", "0") != "0":
        return Path(os.environ[RUN_DIR_VARIABLE])
    run_dir = Path(config.run_dir).absolute()
    os.environ[RUN_DIR_VARIABLE] = str(run_dir)
    last = run_dir / "last.ckpt"
    if config.resume and not last.is_file():
        raise ConfigError(f"resume=true, but there is no {last}; run_dir= must name the folder of an interrupted run")
    if not config.resume and (run_dir / "config.yaml").exists():
        raise ConfigError(
            f"run_dir={run_dir} holds a run already; add resume=true to go on with it, or name another folder"
        )
    return run_dir


def check_resumable(checkpoint: dict[str, Any], config: DictConfig, run_dir: Path) -> None:
    """Refuse to go on where the dataset has other classes now, or where the run is past its end.

    Raises:
        CheckpointError: the classes differ.
        ConfigError: fewer epochs are asked for than are done, or nothing is left to do.
    """
    if checkpoint.get("epoch", 0) > config.epochs:
        raise ConfigError(
            f"epochs must be at least {checkpoint['epoch']}, which the run has reached, got {config.epochs}"
        )
    if "agnet" not in checkpoint:
        raise CheckpointError(f"{config.run_dir}/last.ckpt is not a checkpoint of agnet_vision")
    table = build_table(config)
    stored = tuple(checkpoint["agnet"]["model"]["classes"])
    if stored != table.classes:
        raise CheckpointError(
            f"the run in {config.run_dir} has {len(stored)} classes, dataset={table.name} has {len(table.classes)} now "
            f"({table.root}); a run goes on with the classes it began with"
        )
    if (
        checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] >= config.epochs
        and (run_dir / "metrics.json").is_file()
    ):
        raise ConfigError(
            f"the run in {run_dir} has finished its {config.epochs} epochs; raise epochs= to train longer, or test it again "
            f"with tools/evaluate.py checkpoint={run_dir}"
        )


def write_config(config: DictConfig, run_dir: Path) -> None:
    """Store the resolved configuration: what ``resume=true`` and a repetition start from."""
    (run_dir / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")
