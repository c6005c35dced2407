"""Readers of layouts, one file each.

A reader turns a root folder into a ``Listing``, with what is wrong.
"""
