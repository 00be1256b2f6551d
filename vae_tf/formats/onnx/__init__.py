"""ONNX files, an extra of the bundle."""
