"""A chat service on the loopback interface that misbehaves as it is told, and bills what it answers.

What it bills is computed here from its own usage: every answer that was begun, whether or not it arrived.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-loopback-chat-91b7c2"
MODEL = "gpt-4o-2024-08-06"


@dataclass
class Account:
    """How the service behaves, and what it saw.

    `faults` are by number of the request, from 1: (status, headers) or (status, headers, body) is answered;
    "half" is half of an answer's JSON; "cut" closes amid the body; "slow" sends the body byte by byte and
    "hang" nothing for longer than any patience; "lost" closes before anything is done; "kill" kills `pid`
    before anything is done; a dict replaces parts of the answer. `always` holds for all other requests.
    """

    reply: object = None  # a function of the request's body; its text
    faults: dict = field(default_factory=dict)
    always: object = None
    models: tuple = (MODEL,)
    pid: int = 0
    asked: list = field(default_factory=list)
    billed: list = field(default_factory=list)  # (model, prompt tokens, completion tokens)
    answered: Counter = field(default_factory=Counter)  # billed answers by the last message
    at_once: int = 0
    most_at_once: int = 0

    def usd(self, price_in: float, price_out: float) -> float:
        """What was billed, at prices for a million tokens."""
        return sum(i * price_in + o * price_out for _, i, o in self.billed) / 1e6


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *arguments) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        account = self.server.account
        with self.server.lock:
            account.asked.append(body)
            account.at_once += 1
            account.most_at_once = max(account.most_at_once, account.at_once)
            fault = account.faults.get(len(account.asked), account.always)
        try:
            self._serve(account, body, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.server.lock:
                account.at_once -= 1

    def _serve(self, account, body, fault):
        if fault == "kill":
            os.kill(account.pid, signal.SIGKILL)
        if fault in ("lost", "kill"):
            self.close_connection = True
            self.connection.close()
            return None
        if self.headers["Authorization"] != f"Bearer {KEY}":
            given = self.headers["Authorization"]
            return self._send(401, {"error": {"message": f"Incorrect API key: {given}", "code": "no_key"}})
        if body["model"] not in account.models:
            message = f"The model `{body['model']}` does not exist at {self.headers['Host']}"
            return self._send(404, {"error": {"message": message, "code": "model_not_found"}})
        if isinstance(fault, tuple):
            status, headers, *told = fault
            return self._send(status, *(told or [{"error": {"message": "as told"}}]), headers=headers)
        text = account.reply(body) if account.reply else f"heard {body['messages'][-1]['content']}"
        answer = self._answer(account, body, text)
        if isinstance(fault, dict):
            answer |= fault
        content = json.dumps(answer).encode()
        if fault == "half":
            content = content[: len(content) // 2]
        if fault == "hang":
            time.sleep(3.0)
            self.close_connection = True
            return None
        if fault == "slow":
            self._head(200, len(content), {})
            for byte in content[:60]:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.05)
            self.close_connection = True
            return None
        if fault == "cut":
            self._head(200, len(content) + 10, {})
            self.wfile.write(content)
            self.close_connection = True
            return None
        return self._send(200, content)

    def _answer(self, account, body, text) -> dict:
        n_prompt = sum(len(m["content"].split()) + 4 for m in body["messages"])
        n_tokens = min(body["max_tokens"], len(text.split()) if text else 0)
        with self.server.lock:
            account.billed.append((body["model"], n_prompt, n_tokens))
            account.answered[body["messages"][-1]["content"]] += 1
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1000,
            "model": body["model"],
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            ],
            "usage": {
                "prompt_tokens": n_prompt,
                "completion_tokens": n_tokens,
                "total_tokens": n_prompt + n_tokens,
            },
        }

    def _send(self, status, value, headers=None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._head(status, len(content), headers or {})
        self.wfile.write(content)

    def _head(self, status, n_bytes, headers) -> None:
        self.send_response(status)
        for key, text in {"Content-Type": "application/json", "Content-Length": n_bytes, **headers}.items():
            self.send_header(key, str(text))
        self.end_headers()


class ChatService(ThreadingHTTPServer):
    """The service; one account at a time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.account = Account()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """What the variable of the environment is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"
