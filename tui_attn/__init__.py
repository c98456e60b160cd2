"""A terminal instrument for training and understanding channel attention."""

__version__ = "0.1.0"
