"""Holding a request until the right people have looked, and releasing exactly what they saw, once."""
