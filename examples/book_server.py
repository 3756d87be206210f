"""A small book service over HTTP, for the examples: it refuses its first requests and is slow now and then.

    PUT /books/1    store a text; 503 for the first two, slow for every fourth
    GET /books/1    the text that is stored
    GET /puts       every text that was sent, with the status it got, as JSON

`serving()` runs it in a process of its own. Started by hand, it serves until its standard input ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import PIPE, Popen
from threading import Thread

REFUSED = 2
SLOW = 4
SECONDS = 0.5


class BookHandler(BaseHTTPRequestHandler):
    books: dict[str, str] = {}  # noqa: RUF012 - one library for all requests
    puts: list[tuple[str, int]] = []  # noqa: RUF012 - the same

    def do_PUT(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        number = len(self.puts) + 1
        status = HTTPStatus.SERVICE_UNAVAILABLE if number <= REFUSED else HTTPStatus.OK
        self.puts.append((text, status))
        if number % SLOW == 0:
            time.sleep(SECONDS)
        if status == HTTPStatus.OK:
            self.books[self.path] = text
        self.answer(status)

    def do_GET(self) -> None:
        if self.path == "/puts":
            self.answer(HTTPStatus.OK, json.dumps(self.puts))
        elif self.path in self.books:
            self.answer(HTTPStatus.OK, self.books[self.path])
        else:
            self.answer(HTTPStatus.NOT_FOUND)

    def answer(self, status: HTTPStatus, text: str = "") -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def serving() -> Iterator[int]:
    """Run the service in a process of its own, and give its port."""
    command = [sys.executable, __file__]
    # A session of its own keeps Ctrl-C from it. It ends when its input does: on leaving, or with this process.
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, start_new_session=True) as process:  # noqa: S603 - this very file
        assert process.stdout is not None
        yield int(process.stdout.readline())


def request(port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Ask the service, and give the status and the text of its answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read().decode()


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BookHandler) as server, suppress(KeyboardInterrupt, BrokenPipeError):
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        os.write(sys.stdout.fileno(), f"{server.server_port}\n".encode())
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
