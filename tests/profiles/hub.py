"""A real HTTP server that speaks as much of the model hub's protocol as a download takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(models: Mapping[str, Path]) -> Iterator[str]:
    """Serve folders as the main branches of models, all at `COMMIT`; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0].strip("/").split("/")
            api = path[:2] == ["api", "models"]
            owner, name, *rest = path[2:] if api else path
            folder = models.get(f"{owner}/{name}")
            if folder is None:
                return self.refuse("RepoNotFound", "Repository not found")
            if len(rest) > 1 and rest[1] not in ("main", COMMIT):
                return self.refuse("RevisionNotFound", f"Invalid rev id: {rest[1]}")
            if api and rest[:1] == ["tree"]:
                return self.give(json.dumps([entry(folder, file) for file in files(folder)]).encode(), body)
            if api:
                siblings = [{"rfilename": str(file)} for file in files(folder)]
                told = {"_id": "1", "id": f"{owner}/{name}", "sha": COMMIT, "siblings": siblings, "tags": []}
                return self.give(json.dumps(told).encode(), body)
            return self.give((folder / "/".join(rest[2:])).read_bytes(), body)

        def refuse(self, code: str, message: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", message)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def give(self, content: bytes, body: bool) -> None:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files(folder: Path) -> list[Path]:
    """Seen from the folder."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def entry(folder: Path, file: Path) -> dict[str, object]:
    """As the hub lists it."""
    content = (folder / file).read_bytes()
    return {"type": "file", "path": str(file), "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
