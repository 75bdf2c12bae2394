"""Labels: what a stiff solver makes of sampled cells."""

from .file import Labels, load_labels
from .make import make_labels

__all__ = ["Labels", "load_labels", "make_labels"]
