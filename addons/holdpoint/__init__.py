"""Hold points on the wire between agents and production."""

__version__ = "0.1.0"
