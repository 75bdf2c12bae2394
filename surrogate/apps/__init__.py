"""What one can compute with a model of this package, in a function or two."""
