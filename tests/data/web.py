"""A web server on 127.0.0.1 that serves one file well or badly, and remembers what it was asked."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server does; a test changes it between requests."""

    def __init__(self):
        self.body = b""
        self.etag = '"v1"'
        self.ranges = True
        """Answer Range with 206."""
        self.checks_if_range = True
        self.content_type = "application/zip"
        self.cuts = []
        """The n-th answer stops after so many bytes of its body, None: it does not."""
        self.stall = threading.Event()
        self.stalls = 0
        """So many answers fall silent half-way."""
        self.statuses = []
        """Errors to answer first."""
        self.asked = []
        """(path, Range, If-Range) of every request."""
        self.sent = []
        """Bytes of the body of every answer."""
        self.length = None
        """What Content-Length says instead of the truth; the connection's end is the body's then."""
        self.port = None

    def url(self, path="set.zip"):
        return f"http://127.0.0.1:{self.port}/{path}"


@contextmanager
def serving():
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked = self.headers.get("Range")
            site.asked.append((self.path, asked, self.headers.get("If-Range")))
            if site.statuses:
                status = site.statuses.pop(0)
                self.send_error(status)
                return
            self.answer(asked)

        def answer(self, asked):
            total, start = len(site.body), 0
            unchanged = self.headers.get("If-Range") in (None, site.etag) or not site.checks_if_range
            if asked and site.ranges and unchanged:
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if site.etag:
                self.send_header("ETag", site.etag)
            self.send_header("Content-Type", site.content_type)
            self.send_header("Content-Length", str(total - start) if site.length is None else site.length)
            self.end_headers()
            self.give(site.body[start:])

        def give(self, rest):
            cut = site.cuts.pop(0) if site.cuts else None
            if site.stalls:
                site.stalls -= 1
                self.wfile.write(rest[: len(rest) // 2])
                self.wfile.flush()
                site.sent.append(len(rest) // 2)
                site.stall.wait(30)
                return
            self.wfile.write(rest[:cut])
            site.sent.append(len(rest[:cut]))
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.stall.set()
        server.shutdown()
        server.server_close()
        thread.join()
