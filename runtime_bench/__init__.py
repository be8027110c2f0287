"""Measuring artifacts: devices, the interleaved protocol, its statistics and results.

Importing this package loads nothing, so that a fresh process whose memory is measured holds no more than it needs.
"""
