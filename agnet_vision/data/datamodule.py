"""A table of samples to loaders for training, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from joblib import cpu_count
from torch import Tensor

from agnet_vision.data.cache.store import RegionCache, default_cache_folder
from agnet_vision.data.dataset import RegionDataset, collate
from agnet_vision.data.image import check_images
from agnet_vision.data.marks import MarkTable
from agnet_vision.data.preprocessing import ImageTransform
from agnet_vision.data.sampler import EpochLoader, EpochSampler, Order
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.data.views import COUNTS, TestTimeViews
from agnet_vision.data.workers import start_worker, worker_context
from agnet_vision.errors import AGNetError, CacheError, DatasetError
from agnet_vision.regions.proposer import RegionProposer


class AGNetDataModule(pl.LightningDataModule):
    """Lightning's data module: loaders over the three splits of a dataset.

    Every image is read once before the first epoch, when its keypoints are computed, so an
    unreadable one stops the run there, by name. (Controls and ``backbone_only`` need no keypoints;
    there the head and the end of each file are read.)

    Args:
        proposer: source of the regions; None: batches have no regions.
        views: several views of each test image, whose answers are averaged; None: one.
        cache_folder: home of the labeled keypoints; None: ``.agnet_cache`` beside the data, or,
            where that cannot be written, in the user's cache folder.
        batch_size: images per step on each process.
        workers: loader processes; None: one per core, 8 at most; 0: load in the main process.

    Attributes:
        splits: splits whose images are read before the first epoch.
        marks: marks that batches carry; None: none.
    """

    def __init__(
        self,
        table: SampleTable,
        train_transform: ImageTransform,
        eval_transform: ImageTransform,
        proposer: RegionProposer | None,
        *,
        views: TestTimeViews | None = None,
        cache_folder: Path | None = None,
        batch_size: int = 32,
        workers: int | None = None,
        sampler: Order = "shuffle",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.table = table
        self.proposer = proposer
        self.views = views
        self.transforms = {"train": train_transform, "val": eval_transform, "test": eval_transform}
        self.cache_folder = cache_folder
        self.batch_size = batch_size
        self.sampler = sampler
        self.seed = seed
        self.workers = min(8, cpu_count()) if workers is None else workers
        self.splits: tuple[str, ...] = ("train", "val", "test")
        self.marks: MarkTable | None = None
        self._cache: RegionCache | None = None
        self._position: dict[str, int] | None = None
        self._train_loader: EpochLoader | None = None

    def prepare_data(self) -> None:
        """Compute the keypoints not stored yet, on one process per node.

        Raises:
            ImageReadError: some images cannot be read.
        """
        self._open_cache()
        if self._cache is None:
            check_images(self._paths())

    def setup(self, stage: str) -> None:
        """Open the cache of keypoints on every process."""
        if self._cache is None:
            self._open_cache()

    def class_counts(self) -> list[int]:
        """Count the training samples of each class."""
        labels = [sample.label for sample in self.table.splits["train"]]
        return np.bincount(labels, minlength=len(self.table.classes)).tolist()

    def train_dataloader(self) -> EpochLoader:
        """Make the loader of shuffled or balanced, augmented samples."""
        self._train_loader = self._loader("train")
        if self._position is not None:
            self._train_loader.load_state_dict(self._position)
        return self._train_loader

    def val_dataloader(self) -> EpochLoader:
        """Make the loader of the held-out samples in order."""
        return self._loader("val")

    def test_dataloader(self) -> EpochLoader:
        """Make the loader of the test samples in order."""
        return self._loader("test")

    def state_dict(self) -> dict[str, Any]:
        """Return how far the training loader is in its epoch."""
        return dict(self._train_loader.state_dict()) if self._train_loader else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the place in an epoch until there is a loader."""
        self._position = state_dict

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Tensor]:
        """Raise in the main process what a worker found wrong."""
        if isinstance(batch, AGNetError):
            raise batch
        return batch

    def _open_cache(self) -> None:
        """Read the keypoints of all used splits, and compute missing ones."""
        if self.proposer is None or not self.proposer.needs_keypoints:
            return
        folder = self.cache_folder or default_cache_folder(self.table.root)
        workers = max(1, self.workers)
        try:
            self._cache = RegionCache.build(self._paths(), self.proposer, folder, workers=workers)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise CacheError(
                f"cannot keep regions in {folder}: {error}; choose another cache_dir"
            ) from error

    def _paths(self) -> list[Path]:
        return [sample.path for split in self.splits for sample in self.table.splits[split]]

    def _loader(self, split: str) -> EpochLoader:
        train = split == "train"
        samples = self.table.splits[split]
        views = self.views if split == "test" else None
        dataset = RegionDataset(
            samples,
            self.transforms[split],
            self.proposer,
            views=views,
            cache=self._cache,
            seed=self.seed,
            marks=self.marks,
        )

        sampler = EpochSampler(
            [sample.label for sample in samples],
            self.sampler if train else "sequential",
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        if train and len(sampler) < 2:
            raise DatasetError(
                f"training needs at least two images on each of its {sampler.world_size} "
                "processes, since batch norm learns nothing from a single one; "
                f"got {len(samples)} images; give more images, or take fewer processes"
            )

        return EpochLoader(
            dataset,
            batch_size=max(1, self.batch_size // (COUNTS[views.tta] if views else 1)),
            sampler=sampler,
            collate_fn=collate,
            # A last batch of one image would stop batch norm; a set smaller than one batch is kept.
            drop_last=train and len(sampler) >= self.batch_size,
            num_workers=self.workers,
            multiprocessing_context=worker_context() if self.workers else None,
            worker_init_fn=start_worker if self.workers else None,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Without its own generator the loader would draw from the global one, and a resumed run
            # would go another way.
            generator=torch.Generator().manual_seed(self.seed),
        )
