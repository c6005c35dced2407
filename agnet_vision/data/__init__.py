"""From files to batches: cards, layouts, the region cache, augmentation, loaders."""
