"""What the services of this example have in common: a small HTTP server and client.

A service is a function from a request to an answer. Requests that it makes carry the trace headers of the one that it
serves, so that tracing sees one story.
"""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

TRACE_HEADERS = (
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
)
PASSED_ON = (*TRACE_HEADERS, "end-user", "user-agent")


class Request(NamedTuple):
    """What a client asks."""

    path: str
    headers: Mapping[str, str]  # names in lower case

    @property
    def passed_on(self) -> dict[str, str]:
        """The headers that go along with every request made for this one."""
        return {name: self.headers[name] for name in PASSED_ON if name in self.headers}

    @property
    def identities(self) -> dict[str, str]:
        """Who asked whom over mutual TLS, as the proxy of this service tells; empty for a caller in plaintext."""
        told = self.headers.get("x-forwarded-client-cert", "").rpartition(",")[2]
        fields = dict(field.split("=", 1) for field in told.split(";") if "=" in field)
        return {"caller": fields["URI"], "called": fields["By"]} if fields.keys() >= {"URI", "By"} else {}


class Answer(NamedTuple):
    """What it gets."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


def as_json(value: Any, status: int = 200) -> Answer:
    """An answer of JSON."""
    return Answer(json.dumps(value).encode(), status)


def asked(url: str, request: Request, timeout_seconds: float = 3.0) -> tuple[int, Any]:
    """What another service says to a GET: its status and JSON; 503 and a reason where nobody answers."""
    onward = urllib.request.Request(url, headers=request.passed_on)  # noqa: S310 - our own URLs
    try:
        with urllib.request.urlopen(onward, timeout=timeout_seconds) as answer:  # noqa: S310 - likewise
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, {"error": refused.read().decode(errors="replace")}
    except (OSError, ValueError) as failed:
        return 503, {"error": str(failed)}


def serve(answer: Callable[[Request], Answer]) -> None:
    """Serve on $PORT, or 9080, until told to stop."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave in one packet
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = answer(Request(self.path, headers))
            self.send_response(said.status)
            self.send_header("content-type", said.content_type)
            self.send_header("content-length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
            print(format % args, file=sys.stderr)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def server_bind(self) -> None:
            # The one of http.server asks for the machine's full name, which may wait for a name server.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_name, self.server_port = self.socket.getsockname()[:2]

    Server(("", int(os.environ.get("PORT", "9080"))), Handler).serve_forever()
