"""Where the database is: in the environment, where ECS puts the keys of the secret."""

import os
import ssl

from sqlalchemy import URL, Engine, create_engine, pool


def engine() -> Engine:
    """Of DATABASE_HOST, DATABASE_PORT, DATABASE_USER, DATABASE_PASSWORD and DATABASE_NAME.

    TLS with the name and the chain checked, unless DATABASE_TLS=off. SQLAlchemy shows the URL without its password.
    """
    url = URL.create(
        "mysql+pymysql",
        host=os.environ["DATABASE_HOST"],
        port=int(os.environ.get("DATABASE_PORT", "3306")),
        username=os.environ["DATABASE_USER"],
        password=os.environ["DATABASE_PASSWORD"],
        database=os.environ["DATABASE_NAME"],
        query={"charset": "utf8mb4"},
    )
    settings = {"connect_timeout": 5}
    if os.environ.get("DATABASE_TLS") != "off":
        settings["ssl"] = ssl.create_default_context(cafile=os.environ.get("DATABASE_CA"))
    return create_engine(url, poolclass=pool.NullPool, hide_parameters=True, connect_args=settings)
