"""A trained network for other programs: ONNX, int8, torch.export."""
