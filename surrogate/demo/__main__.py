"""``python -m surrogate.demo`` is ``surrogate demo``."""

from surrogate.demo.run import main

if __name__ == "__main__":
    raise SystemExit(main())
