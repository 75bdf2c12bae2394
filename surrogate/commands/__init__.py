"""Commands of the command line that need nothing but the run time: one file each, see `surrogate.cli`."""
