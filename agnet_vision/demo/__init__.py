"""A local page to try networks on, and small networks."""
