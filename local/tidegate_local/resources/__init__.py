"""Resource types of CloudFormation that MiniStack lacks: those that call its API, and those that are only recorded."""
