"""Fitting nets: training pairs, losses, optimisers, the loop."""
