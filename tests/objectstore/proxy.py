"""A proxy on loopback that passes S3 requests on, and spoils those that a test says."""

import http.client
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

ERRORS = {
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "403": (403, "AccessDenied", "Access Denied"),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "no bucket": (404, "NoSuchBucket", "The specified bucket does not exist"),
}
DELAY_S = 1.0


@dataclass
class Fault:
    """The next `times` requests of that method whose path holds `path` meet it."""

    kind: str
    """A key of ERRORS, `reset`, `half upload`, `lost answer`, `half answer` or `delay`."""
    method: str
    times: int
    path: str = ""
    met: int = 0
    """How many requests have met it."""


@dataclass
class FaultyProxy:
    """Serves from a thread of its own between start() and stop()."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request, spoiled ones too."""

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spoil(self, kind: str, method: str, times: int = 1, path: str = "") -> Fault:
        fault = Fault(kind, method, times, path)
        self.faults.append(fault)
        return fault

    def count(self, method: str, path: str = "") -> int:
        """How many requests of that method came for paths that hold `path`."""
        return sum(verb == method and path in where for verb, where in self.requests)

    def meet(self, method: str, path: str) -> str | None:
        with self._lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.method == method and fault.path in path and fault.met < fault.times:
                    fault.met += 1
                    return fault.kind
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: ClassVar[FaultyProxy]

    def log_message(self, *arguments: object) -> None:
        pass

    def do_any(self) -> None:
        kind = self.proxy.meet(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if kind == "reset":
            return self._reset()
        if kind == "half upload":
            self.rfile.read(length // 2)
            return self._reset()
        body = self.rfile.read(length)
        if kind in ERRORS:
            return self._refuse(*ERRORS[kind])
        if kind == "delay":
            time.sleep(DELAY_S)
        status, headers, answer = self._pass_on(body)
        if kind == "lost answer":
            return self._reset()
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        size = next((v for n, v in headers if n.lower() == "content-length"), str(len(answer)))
        self.send_header("Content-Length", size if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        if kind == "half answer":
            self.wfile.write(answer[: len(answer) // 2])
            return self._reset()
        self.wfile.write(answer)
        return None

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do_any

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        address = urlsplit(self.proxy.upstream)
        connection = http.client.HTTPConnection(address.hostname, address.port)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        answer = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _reset(self) -> None:
        """Close so that the other side sees a reset, not an orderly end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
