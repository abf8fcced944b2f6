"""A real S3 server on this machine, moto's, with faults in front of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BUCKET = "sounds"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "secret-word", "AWS_DEFAULT_REGION": "us-east-1"}


class Faulty:
    """Requests go through `faults`, which may answer them as an application of WSGI, to moto.

    `asked` has (method, path, range) of every request; `env` is what a client needs.
    """

    def __init__(self, application: Any) -> None:
        self.application = application
        self.faults: list[Any] = []
        self.asked: list[tuple[str, str, str]] = []
        self.env: dict[str, str] = {}
        self.client: Any = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_RANGE", "")))
        for fault in list(self.faults):
            if (answer := fault(environ, start_response)) is not None:
                return answer
        return self.application(environ, start_response)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def clear(self) -> None:
        self.faults.clear()
        for found in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
            self.client.delete_object(Bucket=BUCKET, Key=found["Key"])
        self.asked.clear()

    @property
    def lists(self) -> int:
        """How often objects were listed."""
        return sum(method == "GET" and path.strip("/") == BUCKET for method, path, _ in self.asked)


@contextmanager
def running() -> Iterator[Faulty]:
    import botocore.session
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    faulty = Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, faulty, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    faulty.env = {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
    named = {name.lower().replace("aws_default_region", "region_name"): value for name, value in KEYS.items()}
    faulty.client = botocore.session.get_session().create_client("s3", endpoint_url=url, **named)
    faulty.client.create_bucket(Bucket=BUCKET)
    faulty.clear()  # moto keeps one set of buckets in a process, for all of its servers
    try:
        yield faulty
    finally:
        faulty.client.close()
        server.shutdown()
        thread.join()
        server.server_close()
