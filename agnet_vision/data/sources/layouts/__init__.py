"""A file a layout: root folder to ``Listing``, with what is wrong."""
