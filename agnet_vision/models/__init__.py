"""Feature map to logits: backbone, head, both. Pure torch."""
