"""Benchmarks: one question per script, accuracy beside every time."""
