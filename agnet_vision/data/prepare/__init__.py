"""Done once for a dataset: download, unpack, check."""
