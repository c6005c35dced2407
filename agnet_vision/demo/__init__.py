"""A local page to try a network on.

The small networks that it starts with are here, too.
"""
