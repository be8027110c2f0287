"""Parity: does an artifact score and rank as the PyTorch reference does, in numbers with stated tolerances?"""
