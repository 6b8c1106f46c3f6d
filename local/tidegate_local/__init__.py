"""The embedded cloud: everything Tidegate needs of AWS, on one machine."""
