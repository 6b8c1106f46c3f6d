"""Tidegate's core: the domain, the steps of its state machines, and what connects them to AWS."""

__version__ = "0.1.0"
