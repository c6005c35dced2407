"""AG-Net: keypoint-guided region attention for fine-grained image recognition."""
