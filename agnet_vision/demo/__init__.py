"""A local page to try a network on, and the small networks it starts with."""
