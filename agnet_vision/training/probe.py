"""``probe``: heads on the stored maps of a backbone that stays as it is, compared; the best tested.

The backbone reads every image once, as evaluation sees it. All choices (weight decay, head) are
made on the validation images; the test images are scored once, by the best head alone.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from rich.table import Table

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.environment import environment
from agnet_vision.evaluation.metrics import Predictions
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.statistics import estimates, interval, paired_difference
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.checkpoint import PREFIX, describe
from agnet_vision.options.probe import ProbeConfig
from agnet_vision.options.resolve import stored_text, training_of_probe
from agnet_vision.options.run import TrainConfig
from agnet_vision.predict.predictor import choose_device
from agnet_vision.training import Run
from agnet_vision.training.build import build_model, build_table, require_samples
from agnet_vision.training.checkpoints import AtomicCheckpointIO
from agnet_vision.training.console import console, print_place, print_scores
from agnet_vision.training.evaluate import write_scores
from agnet_vision.training.run_dir import locked_run_dir
from agnet_vision.training.stored_heads import fit_average, fit_by_steps, predict
from agnet_vision.training.stored_maps import MapStore

# Head -> variant and pooling of the network.
NETWORKS = {
    "average": ("backbone_only", "average"),
    "attention": ("backbone_only", "attention"),
    "backbone_only": ("backbone_only", "mixed"),
    "no_attention": ("no_attention", "mixed"),
    "full": ("full", "mixed"),
}


class Fitted(NamedTuple):
    """A fitted head."""

    name: str
    seconds: float
    weight_decay: float | None  # the chosen one of average pooling
    predictions: Predictions  # for the validation images


def probe(config: ProbeConfig) -> Run:
    """Compare heads on stored maps, test the best, and write its run folder.

    Raises:
        AGNetError: an option, the dataset, or a file is not right.
    """
    with locked_run_dir(Path(config.run_dir), is_new=config.run_dir_is_new) as run_dir:
        config = config.model_copy(update={"run_dir": str(run_dir)})
        probing = Probe(config, RunFolder(run_dir))
        probing.store()
        probing.fit()
        probing.write()
        probing.test()
    return Run(run_dir, probing.folder.best, probing.scores)


class Probe:
    """One probe: built, stored, fitted, written and tested, in this order.

    Raises:
        AGNetError: an option or the dataset is not right, or the maps would be too large.
    """

    def __init__(self, config: ProbeConfig, folder: RunFolder) -> None:
        self.began = time.time()
        self.config = config
        self.folder = folder
        self.scores: dict[str, Any] | None = None
        if folder.config.exists() or folder.metrics.exists():
            raise ConfigError(f"run_dir={folder.path} holds a run already; name another folder")

        self.device = choose_device(config.device)
        self.options: dict[str, TrainConfig] = {
            name: training_of_probe(config, *NETWORKS[name]) for name in dict.fromkeys(config.heads)
        }
        first = self.options[config.heads[0]]
        self.table = build_table(first.dataset, config.seed)
        self.table.task.require_single("agnet probe")
        for split in ("train", "val"):
            require_samples(self.table, split)

        self.models: dict[str, AGNet] = {
            name: build_model(options, self.table.classes, with_weights=options is first)
            for name, options in self.options.items()
        }
        backbone = self.models[config.heads[0]].backbone.requires_grad_(False)
        for model in self.models.values():
            model.backbone = backbone
            model.eval().to(self.device)
        self.store_of_maps = MapStore(list(self.models.values()), self.table, first, self.device)
        self.store_of_maps.check_size(config.max_gb)

    def store(self) -> None:
        """Store maps and regions of all splits, or find them stored."""
        self.stored = {
            split: self.store_of_maps.split(split)
            for split, samples in self.table.splits.items()
            if samples
        }
        self.seconds = {"store": time.time() - self.began}

    def fit(self) -> None:
        """Fit all heads, and choose the one of the best validation accuracy."""
        train, val = self.stored["train"], self.stored["val"]
        self.fitted: list[Fitted] = []
        for name, model in self.models.items():
            began = time.time()
            options, weight_decay = self.options[name], None
            if name == "average":
                smoothing = options.loss.label_smoothing
                weight_decay = fit_average(model, train, val, smoothing, self.device)
            else:
                fit_by_steps(model, train, options, self.device)
            seconds = time.time() - began
            predictions = predict(model.head, val, self.device)
            self.fitted.append(Fitted(name, seconds, weight_decay, predictions))
            console().print(f"{name:14}fitted in {seconds:.1f} s")
        self.best = max(self.fitted, key=lambda each: _right(each.predictions))

    def write(self) -> None:
        """Write the comparison, and the best network with the options of its run."""
        rows = [self._describe(fitted) for fitted in self.fitted]
        _print_comparison(rows, self.best.name, len(self.stored["val"].label))
        model = self.models[self.best.name]
        state = {f"{PREFIX}{name}": each.cpu() for name, each in model.state_dict().items()}
        checkpoint = {
            "state_dict": state,
            "agnet": describe(model.config()),
            "epoch": self.config.epochs - 1,
            "global_step": 0,
            "pytorch-lightning_version": pl.__version__,
        }
        AtomicCheckpointIO().save_checkpoint(checkpoint, self.folder.best)
        self.folder.write_config(stored_text(self.options[self.best.name]))
        self.table.write_splits(self.folder.splits)

        self.seconds["all"] = time.time() - self.began
        seconds = {name: round(each, 1) for name, each in self.seconds.items()}
        content = {"chosen": self.best.name, "chosen_by": "val acc", "heads": rows}
        self.folder.write_probe({**content, "seconds": seconds})
        self.folder.write_record(
            {"seed": self.config.seed, "wall_time_seconds": self.seconds["all"]}
            | environment(self.device)
        )

    def test(self) -> None:
        """Score the best head on the test images, if there are any."""
        if "test" not in self.stored:
            console().print("not tested: the dataset has no test split")
        else:
            predictions = predict(
                self.models[self.best.name].head, self.stored["test"], self.device
            )
            record = {"seed": self.config.seed, "tta": "none"}
            self.scores = write_scores(self.folder, self.table, predictions, record)
            print_scores(self.scores)
            if self.config.report:
                write_report(self.folder.path)
        print_place(self.folder)

    def _describe(self, fitted: Fitted) -> dict[str, Any]:
        """Describe a head beside the best one, as plain data."""
        label = fitted.predictions.label.numpy()
        own, best = (
            estimates(label, each.predictions.probability.double().numpy())
            for each in (fitted, self.best)
        )
        row: dict[str, Any] = {
            "head": fitted.name,
            "seconds": round(fitted.seconds, 1),
            "weight_decay": fitted.weight_decay,
        }
        for name in ("acc", "mAP"):
            row[f"val_{name}"] = interval(own[name], label).plain()
            difference = paired_difference([own[name]], [best[name]], label)
            row[f"val_{name}_minus_best"] = difference.plain()
        return row


def _print_comparison(rows: list[dict[str, Any]], best: str, images: int) -> None:
    """Print the heads as a table, in percent."""
    table = Table(title=f"{images:,} validation images, %, with 95 % intervals; best: {best}")
    for name in ("head", "acc", "acc - best", "mAP", "seconds"):
        table.add_column(name, justify="left" if name == "head" else "right", no_wrap=True)
    for row in rows:
        difference = row["val_acc_minus_best"]
        shown = "" if row["head"] == best else f"{100 * difference['value']:+.1f}"
        if shown and difference["low"] is not None:
            shown += f" ({100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"
        accuracy, mean_ap = (f"{100 * row[f'val_{name}']['value']:.1f}" for name in ("acc", "mAP"))
        table.add_row(row["head"], accuracy, shown, mean_ap, f"{row['seconds']:.1f}")
    console().print(table)


def _right(predictions: Predictions) -> float:
    return float((predictions.probability.argmax(dim=1) == predictions.label).float().mean())
