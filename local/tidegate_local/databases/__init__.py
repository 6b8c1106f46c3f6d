"""Databases that listen: the cloud's own PostgreSQL, and a server for each database that RDS is asked for.

authority   who certifies them: made with the cloud, gone with it
fronts      TLS before PostgreSQL, whose wheel has none
program     what a server's program has to say
postgresql  PostgreSQL as such a program
mariadb     MariaDB as such a program, where Debian's package is installed
keeper      a thread that starts one, starts it again when it dies, and ends it
servers     which database of RDS has which
"""
