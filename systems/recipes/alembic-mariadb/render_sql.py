"""Write each migration as SQL into a folder, a file for each: `python render_sql.py /migrations`. Asks no database.

Tidegate's plan shows these files and its gate judges them; what runs is Alembic's own. A line of a migration's
docstring that begins with `tidegate:` is said in its file as well: `tidegate: expand nobody reads it since 1.4`.
"""

import io
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for script in ScriptDirectory.from_config(Config("alembic.ini")).walk_revisions():
    written = io.StringIO()
    step = f"{script.down_revision or 'base'}:{script.revision}"
    command.upgrade(Config("alembic.ini", output_buffer=written), step, sql=True)
    said = [line for line in (script.module.__doc__ or "").splitlines() if line.startswith("tidegate:")]
    directives = "".join(f"-- {line}\n" for line in said)
    (folder / f"{Path(script.path).stem}.sql").write_text(directives + written.getvalue())
