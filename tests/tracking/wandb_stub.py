"""A W&B server on the loopback interface that answers what a run, an artifact and a report ask for.

It keeps what it is sent: runs by id, lines of their history, uploaded files, and views (reports).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")


class Stub(ThreadingHTTPServer):
    """The server; `address` is its URL."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.unknown: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up, as W&B does at its end, is no news."""

    def lines(self, run: str) -> list[dict[str, Any]]:
        """History of a run, as it was streamed."""
        files = [s["files"] for s in self.streams.get(run, []) if s.get("files")]
        texts = [f["wandb-history.jsonl"]["content"] for f in files if "wandb-history.jsonl" in f]
        return [json.loads(line) for content in texts for line in content]


class Silent:
    """A server that accepts connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def n_asked(self) -> int:
        """Connections so far."""
        return len(self._open)

    def _accept(self) -> None:
        while True:
            try:
                self._open.append(self._socket.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._socket.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def log_message(self, *_: Any) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _send(self, content: Any, code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._send({})

    def do_PUT(self) -> None:
        self.server.files[self.path.lstrip("/")] = self._body()
        self._send({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/file_stream"):
            run = self.path.split("/")[-2]
            self.server.streams.setdefault(run, []).append(json.loads(body))
            self._send({"exitcode": None, "limits": {}})
            return
        if self.path != "/graphql":
            self.server.unknown.append(self.path)
            self._send({})
            return
        asked = json.loads(body)
        name = (_OPERATION.search(asked["query"]) or [None, "?"])[1]
        self.server.asked.append(name)
        answer = getattr(self, f"_{name}", None)
        if answer is None:
            self.server.unknown.append(name)
            self._send({"data": {}, "errors": [{"message": f"the stub knows no {name}"}]})
            return
        self._send({"data": answer(asked.get("variables") or {})})

    def _Viewer(self, _: Any) -> Any:
        viewer = {"id": "u", "entity": "me", "username": "me", "email": "", "admin": False, "flags": "{}"}
        viewer |= {"name": "me", "teams": {"edges": []}, "apiKeys": {"edges": []}, "deletedAt": None}
        return {"viewer": viewer, "serverInfo": None}

    def _GetDefaultEntity(self, given: dict[str, Any]) -> Any:
        return self._Viewer(given)

    def _ArtifactType(self, _: Any) -> Any:
        return {"project": {"artifact": None}}

    def _ServerFeaturesQuery(self, _: Any) -> Any:
        return {"serverInfo": {"features": []}}

    def _UpsertBucket(self, given: dict[str, Any]) -> Any:
        name = given.get("name") or given.get("id")
        self.server.runs.setdefault(name, {}).update({k: v for k, v in given.items() if v is not None})
        project = {"id": "p", "name": given.get("project"), "entity": {"id": "e", "name": "me"}}
        bucket = {
            "id": f"id-{name}",
            "name": name,
            "displayName": given.get("displayName"),
            "description": "",
        }
        bucket |= {"config": "{}", "sweepName": None, "project": project, "historyLineCount": 0}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _RunResumeStatus(self, _: Any) -> Any:
        return {"model": None}

    def _CreateRunFiles(self, given: dict[str, Any]) -> Any:
        base = self.server.address
        files = [{"name": f, "uploadUrl": f"{base}/{given['run']}/{f}"} for f in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _CreateArtifact(self, given: dict[str, Any]) -> Any:
        given = given.get("input", given)
        self.server.artifacts.append(given)
        found = {"id": f"a{len(self.server.artifacts)}", "state": "PENDING"}
        return {
            "createArtifact": {"artifact": found | {"artifactSequence": {"id": "s", "latestArtifact": None}}}
        }

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> Any:
        at = f"manifest-{given.get('artifactID', given.get('input', {}).get('artifactID'))}"
        file = {"id": at, "name": "m", "displayName": "m", "uploadUrl": f"{self.server.address}/{at}"}
        return {
            "createArtifactManifest": {"artifactManifest": {"id": at, "file": file | {"uploadHeaders": []}}}
        }

    _UpdateArtifactManifest = lambda self, g: {  # noqa: E731
        "updateArtifactManifest": self._CreateArtifactManifest(g)["createArtifactManifest"]
    }

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> Any:
        specs = given.get("artifactFiles") or given.get("input", {}).get("artifactFiles")
        edges = []
        for spec in specs:
            at = f"{spec['artifactID']}/{spec['name']}"
            node = {"id": at, "name": spec["name"], "displayName": spec["name"], "storagePath": at}
            node |= {"uploadUrl": f"{self.server.address}/{at}", "uploadHeaders": [], "artifact": {"id": "a"}}
            node |= {"uploadMultipartUrls": None}
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, given: dict[str, Any]) -> Any:
        return {"commitArtifact": {"artifact": {"id": given.get("artifactID", "a"), "digest": ""}}}

    def _ProjectInternalId(self, _: Any) -> Any:
        return {"project": {"id": "p", "internalId": base64.b64encode(b"ProjectInternalId:1").decode()}}

    def _GetProjects(self, _: Any) -> Any:
        node = {"id": "p", "name": "warmgap", "entityName": "me", "createdAt": "2026-01-01T00:00:00"}
        node |= {"isBenchmark": False, "user": None}
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": [{"node": node, "cursor": "c"}], "pageInfo": page}}

    def _upsertView(self, given: dict[str, Any]) -> Any:
        self.server.views.append(given)
        view = {"id": "Vmlldzox", "type": "runs", "name": given["name"], "displayName": given["displayName"]}
        view |= {
            "description": given["description"],
            "spec": given["spec"],
            "updatedAt": "2026-01-01T00:00:00",
        }
        view |= {"project": {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}}
        return {"upsertView": {"view": view, "inserted": True}}
