"""One file per layout on disk: each turns a root folder into a ``Listing``.

What is wrong is recorded there instead of raised.
"""
