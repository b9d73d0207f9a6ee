"""Chromium driven over its debugging pipe, with the standard library alone."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ARGUMENTS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
}
KEYS |= {"PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}


class Browser:
    """One page of a headless browser that keeps its profile in `folder`."""

    def __init__(self, folder: Path, downloads: Path) -> None:
        # Chromium reads commands from descriptor 3 and answers on 4, JSON ended by a zero byte.
        read_3, self._commands = _pipe()
        self._answers, write_4 = _pipe()
        arguments = [*sandbox(), f"--user-data-dir={folder}", "about:blank"]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec chromium "$@" 3<&{read_3} 4>&{write_4}', "bash", *ARGUMENTS, *arguments],
            pass_fds=(read_3, write_4),
            stderr=self._errors,
            stdout=self._errors,
        )
        os.close(read_3)
        os.close(write_4)
        self._n = 0
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        session, self._session = self._session, None
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        self._session = session

    def open(self, path: Path, address: str = "") -> None:
        """Open a file and wait until it is loaded; `address` follows its path, from # on."""
        self.events.clear()
        self._call("Page.navigate", url="about:blank" if address else path.as_uri())
        if address:
            self._loaded()
            self.events.clear()
            self._call("Page.navigate", url=path.as_uri() + address)
        self._loaded()

    def _loaded(self) -> None:
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self._read()

    def slow_down(self, times: int) -> None:
        """Slow the processor down for this page; 1 is full speed."""
        self._call("Emulation.setCPUThrottlingRate", rate=times)

    def requests(self) -> list[str]:
        """Addresses that the page has asked for since it was opened, itself among them."""
        return [
            e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"
        ]

    def blocked(self) -> set[str]:
        """Why requests did not leave the browser."""
        failed = [e["params"] for e in self.events if e["method"] == "Network.loadingFailed"]
        return {f.get("blockedReason", "left") for f in failed}

    def complaints(self) -> list[str]:
        """What the page has thrown or written to the console since it was opened."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(e["params"]) for e in self.events if e["method"] in kinds]

    def wait(self, expression: str) -> Any:
        """The value of a promise in the page."""
        found = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and let go of a key, as a person does."""
        if len(key) == 1:
            shared = {"key": key, "windowsVirtualKeyCode": ord(key.upper())}
            text = {"text": key}
        else:
            shared = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            text = {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", **shared, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def write(self, text: str) -> None:
        """Type into the element that has the focus."""
        self._call("Input.insertText", text=text)

    def look(self, width: int, dark: bool = False) -> None:
        """Take a window width and a colour scheme."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def paper(self, printed: bool = True) -> None:
        """Take the look of a printed page, or of a screen again."""
        self._call("Emulation.setEmulatedMedia", media="print" if printed else "")

    def allow_scripts(self, allowed: bool) -> None:
        """Whether pages opened from now on may run scripts of their own."""
        self._call("Emulation.setScriptExecutionDisabled", value=not allowed)

    def screenshot(self) -> bytes:
        """The page as PNG, to its end."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def close(self) -> None:
        """End the browser."""
        self._session = None
        self._call("Browser.close")
        self._process.wait(timeout=20)
        os.close(self._commands)
        os.close(self._answers)
        self._errors.close()

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._n += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._n, "method": method, "params": params} | session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._n:
                assert "error" not in found, found["error"]
                return found["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 1 << 16)
            if not part:
                self._errors.seek(0)
                raise RuntimeError(f"the browser ended: {self._errors.read()[-2000:].decode()}")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        found = json.loads(message)
        if "method" in found:
            self.events.append(found)
        return found


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are neither 3 nor 4, so that the shell can put those in their place."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


def sandbox() -> list[str]:
    """Chromium refuses its sandbox to the superuser, as which continuous integration runs."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []
