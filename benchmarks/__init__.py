"""Benchmarks: one question per script, accuracy beside every time; ``python -m benchmarks`` lists them."""
