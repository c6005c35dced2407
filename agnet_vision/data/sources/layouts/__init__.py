"""One file per layout on disk: each turns a root folder into a ``Listing``, and records what is wrong instead of raising."""
