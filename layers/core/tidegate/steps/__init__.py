"""What the functions do, over the ports: one module per function, named like it, and what they share."""
