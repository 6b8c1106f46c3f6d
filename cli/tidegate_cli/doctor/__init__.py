"""What `tidegate doctor` looks at: each check is a function of an `Inspection` that gives findings. Reads only."""
