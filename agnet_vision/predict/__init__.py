"""Many images to rows of classes and probabilities."""
