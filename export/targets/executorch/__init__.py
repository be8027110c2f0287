"""ExecuTorch: a ``.pte`` file for the XNNPACK backend."""
