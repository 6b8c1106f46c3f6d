"""What services run before their first release, where no public registry is in reach: an image that answers 200 to
everything, whatever its command."""

from __future__ import annotations

import io
import tarfile

from tests.docker.shop import Images

REPOSITORY = "bootstrap"
_SERVER = """\
import http.server, os, signal, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = b"before the first release"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), Answer).serve_forever()
"""
_DOCKERFILE = """\
FROM {base}
WORKDIR /srv
COPY app.py /srv/app.py
ENTRYPOINT ["python", "/srv/app.py"]
"""


def push(images: Images, base: str) -> str:
    """Its name, with the digest."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, text in (("Dockerfile", _DOCKERFILE.format(base=base)), ("app.py", _SERVER)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    written.seek(0)
    return images.push_built(written, "1", REPOSITORY)
