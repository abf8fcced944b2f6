"""`pannsdist serve`: models over HTTP."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pannsdist.cli.arguments import add_device, from_one
from pannsdist.cli.model_arguments import add_engine
from pannsdist.runtime import console, cpu, heap, paddle_import
from pannsdist.runtime.errors import UserError
from pannsdist.serving.limits import Limits

if TYPE_CHECKING:
    import socket

    from pannsdist.serving.options import Options

TOKEN = "PANNSDIST_TOKEN"  # noqa: S105 the name of the variable
PACKAGES = ("fastapi", "httptools", "prometheus_client", "python_multipart", "swagger_ui_bundle", "uvicorn")


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    serving = commands.add_parser("serve", help="serve models over HTTP, with a page to try them")
    model = "model folder such as runs/NAME/best_model, which is served as NAME; NAME=FOLDER chooses the name"
    serving.add_argument("--model", action="append", required=True, metavar="FOLDER", help=f"{model}; repeatable")
    serving.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    serving.add_argument("--port", type=_port, default=8000, help="0: any free one (default: 8000)")
    serving.add_argument("--workers", type=from_one, default=1, help="processes, each with its models (default: 1)")
    serving.add_argument("--batch-size", type=from_one, metavar="N", help="windows per forward pass, at most")
    for option, kind, metavar, what in LIMITS:
        default = getattr(Limits, option)
        said = f"{what} (default: {default:g})"
        serving.add_argument(f"--{option.replace('_', '-')}", type=kind, default=default, metavar=metavar, help=said)
    origin = "a web site whose pages may call this server, such as https://example.org; repeatable (default: none)"
    serving.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help=origin)
    add_engine(serving)
    add_device(serving)
    serving.set_defaults(run=_serve)


def _serve(chosen: argparse.Namespace) -> None:
    _require_packages()
    token = _token()
    from pannsdist.serving.listening import bound, url
    from pannsdist.serving.options import Options, wanted

    limits = Limits(**{name: getattr(chosen, name) for name, *_ in LIMITS})
    how = (chosen.engine, chosen.precision, chosen.device, chosen.batch_size)
    options = Options(wanted(chosen.model), *how, token, tuple(chosen.cors), limits)
    if not token and chosen.host not in ("127.0.0.1", "localhost", "::1"):
        console.note_main(f"who reaches {chosen.host} may use this server; the variable {TOKEN} asks for a token")
    with closing(bound(chosen.host, chosen.port)) as listening:
        address = url(chosen.host, listening)
        _run(options, listening, chosen.workers, lambda: print(f"ready: {address}/ (API: {address}/docs)", flush=True))


def _run(options: Options, listening: socket.socket, workers: int, ready: Callable[[], None]) -> None:
    if workers > 1:
        from pannsdist.serving.workers import run_workers

        run_workers(options, listening, workers, ready)
        return
    console.quiet_compiler()
    cpu.wait_passively()
    heap.use_one_arena()
    paddle_import.import_paddle()
    from pannsdist.serving.server import serve

    serve(options, listening, ready)


def _require_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        right = "they are the extra `serve`"
        raise UserError(f"the server needs {', '.join(missing)}", right, "pip install 'pannsdist[serve]'")


def _token() -> str:
    """The token that clients must send; empty for none. Raises UserError for one that no header can hold."""
    token = os.environ.get(TOKEN)
    if token is None:
        return ""
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
        right = "give letters, digits and . _ ~ + / = - or unset the variable"
        raise UserError(f"the variable {TOKEN} is empty or has other characters than a bearer token", right)
    return token


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text, re.ASCII) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def _from_zero(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return float(text)


def _positive(text: str) -> float:
    if _from_zero(text) == 0:
        raise argparse.ArgumentTypeError("0 is too little")
    return float(text)


LIMITS = (
    ("max_wait_ms", _from_zero, "MS", "how long a window waits for those of requests that are on their way"),
    ("max_queue", from_one, "N", "requests at a time"),
    ("max_body_mb", _positive, "MB", "the largest body"),
    ("max_length_s", _positive, "S", "seconds of sound in a request"),
    ("timeout_s", _positive, "S", "time for receiving a body, and again for answering it"),
    ("max_connections", from_one, "N", "connections at a time, also idle ones"),
)
"""The fields of `Limits` that have an option: name, type, and what the help says."""
