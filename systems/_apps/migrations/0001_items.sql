-- What the service keeps. PostgreSQL, MySQL and MariaDB read it alike.
CREATE TABLE items (
    id char(36) PRIMARY KEY,
    name varchar(200) NOT NULL,
    done boolean NOT NULL DEFAULT false
);
