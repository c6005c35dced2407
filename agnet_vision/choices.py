"""The words that options may be, each list once.

The owner of a choice decides what each word does; options and command line, which import no torch,
share the words.
"""

from __future__ import annotations

from typing import Literal

# The network.
Variant = Literal["full", "no_attention", "backbone_only"]
Pooling = Literal["mixed", "average", "attention"]
ProbeHead = Literal["average", "attention", "backbone_only", "no_attention", "full"]

# Its regions.
Source = Literal["keypoints", "grid", "random"]
Detector = Literal["sift", "orb", "akaze", "dense"]
Grouping = Literal["em", "sklearn"]

# Its images: augmentation in training, views in a test.
Preset = Literal["modern", "paper", "none"]
Shown = Literal["crop", "whole"]
TTA = Literal["none", "whole"]

# Its marks: not there, or there.
Look = Literal["no", "yes"]
