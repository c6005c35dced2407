"""Readers of layouts, from root folder to ``Listing``."""
