"""A small page that stands at the address of the server until the models are open.

Importing Gradio (and torch, if it computes) and opening the models takes seconds. Meanwhile a
visitor sees a picture that is part of this package, and the page loads itself again when the server
is ready.
"""

import socket
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COVER = Path(__file__).parent / "cover.jpg"
FIRST_PORT, LAST_PORT = 7860, 7959
"""Ports among which Gradio looks for a free one, too."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>brushwork</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Who painted this, and can you paint me another?">
<style>
:root {color-scheme: light dark}
body {margin: 0 auto; max-width: 1280px; padding: 16px; font: 1rem system-ui, sans-serif;
  box-sizing: border-box; background: light-dark(#fafaf9, #0c0a09);
  color: light-dark(#292524, #f5f5f4)}
h1 {font: 500 1.9rem Georgia, serif; margin: 0 0 60px}
img {width: min(100%, 62vh); height: auto; border-radius: 6px; display: block}
</style></head><body>
<h1>brushwork</h1>
<img src="data:image/jpeg;base64,IMAGE" width="512" height="512"
  alt="A glade before trees, a generated landscape">
<p role="status">A computer painted this. The models are starting; more in a few seconds.</p>
<script>
setInterval(async () => {
  try {if ((await fetch("health", {cache: "no-store"})).ok) location.reload();} catch {}
}, 300);
</script></body></html>
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer the page's address with the picture, and every other address with 503."""
        found = self.path.partition("?")[0] == "/"
        text = (
            PAGE.replace("IMAGE", b64encode(COVER.read_bytes()).decode()) if found else "starting"
        )
        content = text.encode()
        self.send_response(200 if found else 503)
        self.send_header("Content-Type", f"text/{'html' if found else 'plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing about requests, like the server that follows."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing about a visitor who left before the answer was sent."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def open_foyer(host: str, port: int | None) -> ThreadingHTTPServer:
    """Serve the small page from a thread.

    Args:
        host: an address of this machine, IPv6 without brackets.
        port: None for the first free one.

    Returns:
        The server; `server_port` is its port. Call `close_foyer` before another server takes it.

    Raises:
        OSError: the address cannot be used.
    """
    family = socket.getaddrinfo(host, port or FIRST_PORT, type=socket.SOCK_STREAM)[0][0]
    kind = _Server6 if family == socket.AF_INET6 else _Server
    for candidate in [port] if port else range(FIRST_PORT, LAST_PORT + 1):
        try:
            server = kind((host, candidate), _Handler)
        except OSError:
            if candidate in (port, LAST_PORT):
                raise
            continue
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server
    raise OSError(f"no free port from {FIRST_PORT} to {LAST_PORT}")


def close_foyer(server: ThreadingHTTPServer) -> None:
    """Stop the small page and free its port."""
    server.shutdown()
    server.server_close()
