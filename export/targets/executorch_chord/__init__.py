"""ExecuTorch with the native engine as one operator."""
