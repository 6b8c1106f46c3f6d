"""Tidegate's core: the domain, the steps of its state machines, and what connects them to AWS."""
