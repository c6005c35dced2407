"""``train``: configuration -> run folder; everything of a run that is not training itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.errors import FULL, ConfigError, DiskFullError
from agnet_vision.evaluation.charts import learning_curves, save_png
from agnet_vision.evaluation.environment import environment, this_command
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.checkpoint import read_checkpoint
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
from agnet_vision.training.checkpoint_io import how_to_go_on
from agnet_vision.training.evaluate import (
    interruptible,
    quieten_lightning,
    share_run_dir,
    test_and_write,
)
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.options import check_options
from agnet_vision.training.pretrained import check_backbone
from agnet_vision.training.resume import check_network, check_resumable


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
    check_options(config)
    run_dir = claim_run_dir(config)
    last = run_dir / "last.ckpt" if config.resume else None
    before = check_resumable(read_checkpoint(last), config, run_dir) if last is not None else None
    backbone = config.backbone
    if before is None:  # a run that goes on has its own weights
        check_backbone(
            backbone.name, pretrained=backbone.pretrained, checkpoint=backbone.checkpoint
        )
    table = build_table(config)
    require_samples(table, "train")
    model = build_model(config, table.classes)
    if before is not None:
        check_network(before, model, run_dir)
    data = build_data(config, table, model)
    module = build_module(config, model, data.class_counts())
    callbacks = build_callbacks(config, run_dir, has_validation=bool(table.splits["val"]))
    trainer = build_trainer(config, run_dir, callbacks, build_loggers(config, run_dir))
    record = begin_record(config, run_dir, model)
    with stops_explained(run_dir):
        if trainer.is_global_zero:
            run_dir.mkdir(parents=True, exist_ok=True)
            RunFolder(run_dir).write_config(OmegaConf.to_yaml(config, resolve=True))
            # Before other processes start and wait: a large set takes longer than they would.
            data.prepare_data()
        try:
            with interruptible(trainer):
                trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
        except BaseException:
            with suppress(OSError):  # the disk may be full, and the first error is the one to tell
                end_record(record, run_dir, trainer, module, started)
            raise
        end_record(record, run_dir, trainer, module, started)
        return finish(config, run_dir, table, trainer, module, data, record)


def begin_record(config: DictConfig, run_dir: Path, model: AGNet) -> dict[str, Any]:
    """Start what ``run.json`` says of a run; of a resumed one, go on with its first command and the time it has taken."""
    trainable = sum(
        parameter.numel() for parameter in model.parameters() if parameter.requires_grad
    )
    record: dict[str, Any] = {
        "seed": config.seed,
        "wall_time_seconds": 0.0,
        "parameters": trainable,
    }
    before = RunFolder(run_dir).read_record() if config.resume else {}
    if before:
        record |= {
            name: before[name] for name in ("command", "wall_time_seconds") if name in before
        }
        record["went_on_with"] = [*before.get("went_on_with", []), this_command()]
    return record


def end_record(
    record: dict[str, Any], run_dir: Path, trainer: pl.Trainer, module: AGNetModule, started: float
) -> None:
    """Write ``run.json``: what the run ran on, how long, and how far it came."""
    record["wall_time_seconds"] += time.time() - started
    record["epochs"] = trainer.current_epoch
    if trainer.is_global_zero:
        RunFolder(run_dir).write_record({**environment(module.device), **record})


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
        folder = RunFolder(run_dir)
        save_png(learning_curves(folder.read_history()), folder.curves)
    scores = None
    if not config.test or not table.splits["test"]:
        if trainer.is_global_zero:
            why = "the dataset has no test split" if config.test else "test=false"
            Console().print(f"not tested ({why}); written to {run_dir}", soft_wrap=True)
    else:
        best = read_checkpoint(run_dir / "best.ckpt")
        module.load_state_dict(best["state_dict"])
        record["best_epoch"] = best["epoch"] + 1
        scores = test_and_write(trainer, module, data, table, run_dir, split="test", record=record)
        if scores is not None and config.report:
            write_report(run_dir)
    return scores


def claim_run_dir(config: DictConfig) -> Path:
    """Return the run's folder; a folder that already holds a run is only touched by ``resume=true``.

    Raises:
        ConfigError: it holds a run, or has none to go on with.
    """
    run_dir = share_run_dir(config.run_dir)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return run_dir
    last = run_dir / "last.ckpt"
    if config.resume and not last.is_file():
        raise ConfigError(
            f"resume=true, but there is no {last}; run_dir= must name the folder of an interrupted run"
        )
    if not config.resume and (last.exists() or (run_dir / "metrics.json").exists()):
        advice = "add resume=true to go on with it, or " if last.exists() else ""
        raise ConfigError(f"run_dir={run_dir} holds a run already; {advice}name another folder")
    return run_dir


@contextmanager
def stops_explained(run_dir: Path) -> Iterator[None]:
    """Say after Ctrl-C, or when the disk is full, how the run goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(how_to_go_on(run_dir)) from stop
    except OSError as error:
        if error.errno not in FULL:
            raise
        what = error.filename or "while writing"
        raise DiskFullError(
            f"the disk is full ({what}); free some space, then {how_to_go_on(run_dir)}"
        ) from error
