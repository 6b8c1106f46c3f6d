"""How a state machine's execution runs, waits, fails and ends.

MiniStack brings the data side of the Amazon States Language: JSONata, JSONPath, Choice, Pass and the
service integrations. This package is the control side, which it has only in part: time-outs, callbacks,
retries, iterations that end their siblings, executions that stop with their children.
"""
