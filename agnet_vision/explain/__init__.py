"""One image explained: what the network saw, and why it answered so."""

from agnet_vision.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
