"""The ports on AWS: one module a port, and the only place that knows boto3 and botocore.

An adapter takes a function that gives its client, so that making one costs nothing: the client is created at the
first call.
"""
