"""What connects a step to Lambda: settings, logs, metrics, and the ports on AWS."""
