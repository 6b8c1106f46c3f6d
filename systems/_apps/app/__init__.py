"""A small application for the five systems: an HTTP service, a worker, migrations; which one is its argument."""
