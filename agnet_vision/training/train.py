"""``train``, from options to run folder.

Everything but training itself.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.errors import FULL, DiskFullError, Stopped
from agnet_vision.evaluation.charts import learning_curves, save_png
from agnet_vision.evaluation.environment import environment, this_command
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.training_views import save_views
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.checkpoint import read_checkpoint
from agnet_vision.options.resolve import stored_text
from agnet_vision.options.run import TrainConfig
from agnet_vision.training.build import (
    build_data,
    build_model,
    build_module,
    build_table,
    require_samples,
)
from agnet_vision.training.calibrate import calibrate_best
from agnet_vision.training.checkpoint_io import how_to_go_on
from agnet_vision.training.console import tell_start, tell_where
from agnet_vision.training.evaluate import quiet_lightning, test_and_write
from agnet_vision.training.loggers import build_loggers, check_loggers
from agnet_vision.training.meter import Meter
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.pretrained import check_weights
from agnet_vision.training.result import Run
from agnet_vision.training.resume import check_network, check_resumable
from agnet_vision.training.run_dir import claimed_run_dir
from agnet_vision.training.stop import interruptible, stoppable
from agnet_vision.training.trainer import build_callbacks, build_trainer


def train(config: TrainConfig, callbacks: Sequence[Callback] = ()) -> Run:
    """Train, test and write the run folder.

    Args:
        config: all options; with ``resume``, those of the run that goes on.
        callbacks: of Lightning's, called before the run's own.

    Raises:
        AGNetError: an option, the dataset, or a file is not right.
        Stopped: after Ctrl-C or another signal, a KeyboardInterrupt; ``last.ckpt`` is saved.
    """
    started = time.time()
    check_loggers(config.logger)
    with quiet_lightning(), stoppable() as request, claimed_run_dir(config) as run_dir:
        config = config.model_copy(update={"run_dir": str(run_dir)})
        folder = RunFolder(run_dir)
        before = check_resumable(config, folder) if config.resume else None
        table = build_table(config.dataset, config.seed)
        require_samples(table, "train")
        if before is None:  # a run that goes on has its own weights
            backbone = config.backbone
            check_weights(
                str(backbone.name), pretrained=backbone.pretrained, checkpoint=backbone.checkpoint
            )
        model = build_model(config, table.classes)
        if before is not None:
            check_network(before, model, run_dir)
            table = table.read_splits(folder.splits)

        data = build_data(config, table, model)
        if not config.test:
            data.splits = ("train", "val")
        module = build_module(config, model, data.class_counts())
        own = build_callbacks(config, run_dir, request, has_validation=bool(table.splits["val"]))
        loggers = build_loggers(config.logger, run_dir)
        trainer = build_trainer(config, run_dir, [*callbacks, *own], loggers)
        record = begin_record(config, run_dir, model)
        with stops_explained(run_dir):
            if trainer.is_global_zero:
                tell_start(config, table, model, trainer)
                folder.write_config(stored_text(config))
                table.write_splits(folder.splits)
                # Before other processes start and wait: a large set takes longer than they would.
                data.prepare_data()
                if before is None:
                    save_views(data, folder.views)
            try:
                with interruptible(trainer):
                    last = folder.last if config.resume else None
                    trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
            except BaseException:
                with suppress(OSError):  # the disk may be full, and the first error is to be told
                    end_record(record, run_dir, trainer, module, started)
                raise
            end_record(record, run_dir, trainer, module, started)
            scores = finish(config, run_dir, table, trainer, module, data, record)
            return Run(run_dir, folder.best, scores)


def begin_record(config: TrainConfig, run_dir: Path, model: AGNet) -> dict[str, Any]:
    """Start what ``run.json`` says of a run.

    A resumed run keeps its first command and adds to its time.
    """
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
    """Write ``run.json``: hardware, duration and progress."""
    record["wall_time_seconds"] += time.time() - started
    record["epochs"] = trainer.current_epoch
    record["finished"] = trainer.state.status == "finished"
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    meter = next(each for each in callbacks if isinstance(each, Meter))
    record |= {"training_seconds": meter.seconds, "images_seen": meter.images}
    if trainer.is_global_zero:
        RunFolder(run_dir).write_record({**environment(module.device), **record})


def finish(
    config: TrainConfig,
    run_dir: Path,
    table: SampleTable,
    trainer: pl.Trainer,
    module: AGNetModule,
    data: AGNetDataModule,
    record: dict[str, Any],
) -> dict[str, Any] | None:
    """Test the best weights and complete the run folder."""
    if trainer.is_global_zero:
        folder = RunFolder(run_dir)
        save_png(learning_curves(folder.read_history()), folder.curves)
    if config.calibration != "none" and table.splits["val"]:
        fitted = calibrate_best(run_dir, trainer, module, data, config.calibration)
        record["calibration"] = fitted._asdict()
    scores = None
    if config.test and table.splits["test"]:
        best = read_checkpoint(run_dir / "best.ckpt")
        module.load_state_dict(best["state_dict"])
        record |= {"best_epoch": best["epoch"] + 1, "tta": config.tta}
        scores = test_and_write(trainer, module, data, table, run_dir, split="test", record=record)
        if scores is not None and config.report:
            write_report(run_dir)
    if trainer.is_global_zero:
        why = "the dataset has no test split" if config.test else "test=False"
        tell_where(run_dir, "" if scores is not None else f"not tested: {why}")
    return scores


@contextmanager
def stops_explained(run_dir: Path) -> Iterator[None]:
    """Say how to resume after Ctrl-C or a full disk."""
    try:
        yield
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        raise Stopped(number, how_to_go_on(run_dir)) from stop
    except OSError as error:
        if error.errno not in FULL:
            raise
        what = error.filename or "while writing"
        raise DiskFullError(
            f"the disk is full ({what}); free some space, then {how_to_go_on(run_dir)}"
        ) from error
