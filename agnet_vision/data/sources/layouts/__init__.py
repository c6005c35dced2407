"""Readers of the layouts that datasets are published in: a root folder in, a ``Listing`` out."""
