"""Amazon ECS without containers: ECS's own arithmetic over simulated tasks."""
