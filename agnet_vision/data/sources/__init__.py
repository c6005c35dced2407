"""Where labelled files come from: cards, layouts, splits."""

from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.sources.samples import SampleTable, read_samples

__all__ = ["Sample", "SampleTable", "read_samples"]
