"""What is done once for a dataset: download, unpack, check."""
