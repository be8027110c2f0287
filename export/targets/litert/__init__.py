"""LiteRT (TensorFlow Lite): a ``.tflite`` file, written without a converter."""
