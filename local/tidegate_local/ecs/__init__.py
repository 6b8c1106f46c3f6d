"""Amazon ECS: its own arithmetic, over simulated tasks or over containers of a Docker engine."""
