"""Files to batches: sources, region cache, augmentation, loaders."""
