"""Starting, filling and stopping the embedded cloud of a checkout.

checkout     where the sources and the state folder are
environment  what child processes and the caller's shell get to see
record       what is known of a running cloud, on disk
locking      one `up` at a time
processes    a server in a session of its own, and its end
building     `sam build`, once for each state of the sources
deploying    `sam deploy`, into the embedded cloud and nowhere else
cloud        up, down, status
"""
