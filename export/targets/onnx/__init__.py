"""ONNX: an ``.onnx`` file for ONNX Runtime."""
