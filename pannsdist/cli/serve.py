"""`pannsdist serve`: models over HTTP."""

from __future__ import annotations

import argparse
import os
import re
from importlib.util import find_spec
from typing import Any

from pannsdist.cli.arguments import add_device, from_one
from pannsdist.cli.model_arguments import add_engine
from pannsdist.runtime import console, paddle_import
from pannsdist.runtime.errors import UserError

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
    wait = "how long a window waits for those of requests that are on their way (default: 10)"
    serving.add_argument("--max-wait-ms", type=_from_zero, default=10.0, metavar="MS", help=wait)
    serving.add_argument("--max-queue", type=from_one, default=64, metavar="N", help="requests at a time (default: 64)")
    serving.add_argument("--max-body-mb", type=_positive, default=32.0, metavar="MB", help="(default: 32)")
    length = "seconds of sound in a request (default: 600)"
    serving.add_argument("--max-length-s", type=_positive, default=600.0, metavar="S", help=length)
    limit = "time for receiving a body, and again for answering it (default: 60)"
    serving.add_argument("--timeout-s", type=_positive, default=60.0, metavar="S", help=limit)
    origin = "a web site whose pages may call this server, such as https://example.org; repeatable (default: none)"
    serving.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help=origin)
    add_engine(serving)
    add_device(serving)
    serving.set_defaults(run=_serve)


def _serve(chosen: argparse.Namespace) -> None:
    _require_packages()
    token = _token()
    console.quiet_compiler()
    paddle_import.import_paddle()
    from pannsdist.serving.limits import Limits
    from pannsdist.serving.models import wanted
    from pannsdist.serving.server import Options, bound, serve

    names = ("max_wait_ms", "max_queue", "max_body_mb", "max_length_s", "timeout_s")
    limits = Limits(**{name: getattr(chosen, name) for name in names})
    how = (chosen.engine, chosen.precision, chosen.device, chosen.batch_size)
    options = Options(wanted(chosen.model), *how, token, tuple(chosen.cors), limits)
    listening = bound(chosen.host, chosen.port)
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    address = f"http://{host}:{listening.getsockname()[1]}"

    def ready() -> None:
        print(f"ready: {address}/  the API: {address}/docs", flush=True)

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
