"""The operators ``chord::rerank``, ``chord::rerank_for`` and ``chord::linear``, which bring the native engine into an ExecuTorch program.

``library`` compiles and loads the C++ library that the runtime calls; importing ``torch_ops`` registers the PyTorch side, which is
what a program is exported from.
"""
