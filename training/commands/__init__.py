"""One module per command of the command line: a parser, and calls."""
