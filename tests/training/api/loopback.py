"""A fine-tuning service on the loopback interface, with accounts that misbehave as they are told.

Its address holds the account and the process id of who asks: http://127.0.0.1:PORT/ACCOUNT/PID/v1, so
that it can kill the process amid one of its requests.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "sk-loopback-5f3c9d1e7a"
BASE = "gpt-4o-2024-08-06"


@dataclass
class Account:
    """What the service holds and how it behaves.

    `faults` are by number of the request, from 1: (status, headers) or (status, headers, body) is
    answered; bytes are the body of an answer; "lost" closes the connection before the request is read,
    "unanswered" after it was done; "kill before" and "kill after" kill the process that asked. `story` is
    the states that a job is seen in.
    """

    faults: dict = field(default_factory=dict)
    story: tuple = ("validating_files", "queued", "running", "running", "succeeded")
    error: str | None = None
    filters: bool = True  # lists of jobs by metadata
    keeps_metadata: bool = True
    lag: int = 0  # lists for which a new job or file is not shown yet
    page: int = 2
    results: str = "csv"  # csv, base64, none
    has_checkpoints: bool = True
    names_last: bool = False  # the checkpoint of the last epoch bears the model's own name
    keeps_model: bool = True  # a job that succeeds has one
    short: int = 0  # steps fewer than whole batches in each epoch would make
    files: list = field(default_factory=list)
    contents: dict = field(default_factory=dict)
    jobs: list = field(default_factory=list)
    looks: dict = field(default_factory=dict)
    hidden: dict = field(default_factory=dict)
    log: list = field(default_factory=list)

    def upload(self, body: bytes, kind: str) -> dict:
        boundary = re.search(r"boundary=([^;]+)", kind)[1].encode()
        parts = {}
        for part in body.split(b"--" + boundary)[1:-1]:
            head, _, content = part[2:-2].partition(b"\r\n\r\n")
            parts[re.search(rb'name="(\w+)"', head)[1].decode()] = (head, content)
        head, content = parts["file"]
        made = {
            "id": f"file-{len(self.files) + 1}",
            "object": "file",
            "bytes": len(content),
            "created_at": 1000 + len(self.files),
            "filename": re.search(rb'filename="([^"]+)"', head)[1].decode(),
            "purpose": parts["purpose"][1].decode(),
            "status": "processed",
        }
        self.files.append(made)
        self.contents[made["id"]] = content
        self.hidden[made["id"]] = self.lag
        return made

    def create(self, asked: dict) -> dict:
        lines = self.contents[asked["training_file"]].decode("ascii").split("\n")[:-1]
        if len(lines) < 10:
            raise ValueError("the file has fewer than 10 examples")
        for line in lines:
            assert set(json.loads(line)) == {"messages"}
        hyper = asked["method"]["supervised"]["hyperparameters"]
        made = {
            "id": f"ftjob-{len(self.jobs) + 1}",
            "object": "fine_tuning.job",
            "created_at": 2000,
            "model": asked["model"],
            "organization_id": "org",
            "result_files": [],
            "seed": asked["seed"],
            "status": "validating_files",
            "training_file": asked["training_file"],
            "hyperparameters": hyper,
            "method": asked["method"],
            "metadata": asked["metadata"] if self.keeps_metadata else None,
            "user_provided_suffix": asked["suffix"],
            "n_steps": hyper["n_epochs"] * -(-len(lines) // hyper["batch_size"]) - self.short,
            "fine_tuned_model": None,
            "finished_at": None,
            "trained_tokens": None,
            "error": None,
        }
        self.jobs.append(made)
        self.hidden[made["id"]] = self.lag
        return made

    def look(self, job: dict) -> dict:
        seen = self.looks[job["id"]] = self.looks.get(job["id"], 0) + 1
        job["status"] = self.story[min(seen, len(self.story)) - 1]
        if job["status"] == "failed":
            job["error"] = {"code": "bad", "message": self.error, "param": None}
        if job["status"] == "succeeded":
            name = f"ft:{job['model']}:org:{job['user_provided_suffix']}:A1"
            job |= {"fine_tuned_model": name if self.keeps_model else None}
            job |= {"finished_at": 2600, "trained_tokens": 123_456}
            if self.results != "none":
                job["result_files"] = ["file-results"]
                text = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"
                text += "".join(f"{s},{2 / s:.5f},0.5,,\n" for s in range(1, job["n_steps"] + 1))
                self.contents["file-results"] = (
                    base64.b64encode(text.encode()) if self.results == "base64" else text.encode()
                )
        return job

    def events(self, job: dict) -> list:
        step = min(self.looks.get(job["id"], 0), job["n_steps"])
        metrics = [
            {"step": s, "total_steps": job["n_steps"], "train_loss": 2 / s} for s in range(step, 0, -1)
        ]
        if job["status"] != "running":
            metrics = []
        return [
            {
                "id": f"ftevent-{job['id']}-{i}",
                "object": "fine_tuning.job.event",
                "created_at": 2000,
                "level": "info",
                "message": "Step",
                "type": "metrics" if data else "message",
                "data": data,
            }
            for i, data in enumerate([*metrics, {}])
        ]

    def checkpoints(self, job: dict) -> list:
        n_epochs = job["hyperparameters"]["n_epochs"]

        def step(epoch: int) -> int:
            return round(epoch * job["n_steps"] / n_epochs)

        return [
            {
                "id": f"ftckpt-{epoch}",
                "object": "fine_tuning.job.checkpoint",
                "created_at": 2000,
                "fine_tuned_model_checkpoint": job["fine_tuned_model"]
                + ("" if self.names_last and epoch == n_epochs else f":ckpt-step-{step(epoch)}"),
                "fine_tuning_job_id": job["id"],
                "metrics": {},
                "step_number": step(epoch),
            }
            for epoch in range(n_epochs, max(0, n_epochs - 3), -1)
        ]

    def shown(self, things: list) -> list:
        out = []
        for thing in things:
            if self.hidden.get(thing["id"], 0) > 0:
                self.hidden[thing["id"]] -= 1
            else:
                out.insert(0, thing)
        return out

    def count(self, method: str, ending: str) -> int:
        """How many requests of this kind were done."""
        return sum(m == method and p.endswith(ending) for m, p in self.log)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        url = urlsplit(self.path)
        _, name, pid, _, *rest = url.path.split("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        account = self.server.accounts[name]
        with self.server.lock:
            account.log.append((method, "/".join(rest)))
            fault = account.faults.get(len(account.log))
            if fault == "lost" or fault == "kill before":
                answer = None
            elif isinstance(fault, tuple):
                status, headers, *body = fault
                answer = (status, *(body or [{"error": {"message": "as told", "code": None}}]), headers)
            elif isinstance(fault, bytes):
                kind = "application/json" if fault[:1] in b"{[" else "text/html"
                answer = (200, fault, {"Content-Type": kind})
            else:
                answer = self._answer(account, method, rest, parse_qs(url.query), body)
        if fault in ("kill before", "kill after"):
            os.kill(int(pid), signal.SIGKILL)
        if fault in ("lost", "unanswered", "kill before", "kill after"):
            self.close_connection = True
            self.connection.close()
            return
        status, value, headers = answer
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(value, bytes) else "application/json"
        for key, text in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, text)
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, account, method, rest, query, body):
        given = self.headers.get("Authorization", "")
        if given != f"Bearer {KEY}":
            message = f"Incorrect API key provided: {given.removeprefix('Bearer ')}."
            return 401, {"error": {"message": message, "code": "invalid_api_key"}}, {}
        found = {job["id"]: job for job in account.jobs}
        match (method, *rest):
            case "POST", "files":
                return 200, account.upload(body, self.headers["Content-Type"]), {}
            case "GET", "files":
                return self._page(account, account.shown(account.files), query)
            case "GET", "files", _, "content":
                if rest[1] in account.contents:
                    return 200, account.contents[rest[1]], {}
            case "GET", "files", name:
                known = {f["id"]: f for f in account.files}
                if name in known:
                    return 200, known[name], {}
            case "POST", "fine_tuning", "jobs":
                try:
                    return 200, account.create(json.loads(body)), {}
                except ValueError as error:
                    return 400, {"error": {"message": str(error), "code": None}}, {}
            case "GET", "fine_tuning", "jobs":
                jobs = account.shown(account.jobs)
                for key, (value,) in query.items():
                    if key.startswith("metadata[") and account.filters:
                        jobs = [j for j in jobs if (j["metadata"] or {}).get(key[9:-1]) == value]
                return self._page(account, jobs, query)
            case "GET", "fine_tuning", "jobs", name if name in found:
                return 200, account.look(found[name]), {}
            case "GET", "fine_tuning", "jobs", name, "events" if name in found:
                return self._page(account, account.events(found[name]), query)
            case "GET", "fine_tuning", "jobs", name, "checkpoints" if name in found:
                if account.has_checkpoints:
                    return self._page(account, account.checkpoints(found[name]), query)
        return 404, {"error": {"message": f"no {'/'.join(rest)}", "code": None}}, {}

    def _page(self, account, things, query):
        ids = [t["id"] for t in things]
        start = ids.index(query["after"][0]) + 1 if "after" in query else 0
        part = things[start : start + account.page]
        more = start + account.page < len(things)
        return 200, {"object": "list", "data": part, "has_more": more}, {}


class Loopback(ThreadingHTTPServer):
    """The service; accounts are made by name."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accounts: dict[str, Account] = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def account(self, name: str, **settings) -> Account:
        self.accounts[name] = Account(**settings)
        return self.accounts[name]

    def address(self, name: str, pid: int) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}/{pid}/v1"
