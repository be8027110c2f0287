"""ExecuTorch's own graph with libchord's linear layers."""
