"""The URL of an object: checked once, joined with relative names that cannot climb out, shown without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import shown
from pannsdist.runtime.redaction import without_credentials

WEB = ("https", "http")
SCHEMES = (*WEB, "s3", "gs", "oss", "hf")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")
_IN_PATHS = "/!$&'()*+,;=:@~"
"""What need not be escaped in the path of an address of the web."""
CREDENTIALS = {
    "s3": "give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by a profile of AWS",
    "gs": "give them as GOOGLE_APPLICATION_CREDENTIALS",
    "oss": "give them as OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET",
}
OF_WEB = "write them into the file ~/.netrc: machine HOST login USER password PASSWORD"


@dataclass(frozen=True, order=True)
class Url:
    """An object, or what stands above objects: `scheme`, `host` (or bucket), `path` as the store knows it, `query`.

    The query, in which a token may stand, goes with every name that is joined to it. `str` has no credentials;
    `address` has, and is for requests alone. Made by `parsed` and `/`.
    """

    scheme: str
    host: str
    path: str
    query: str = field(default="", repr=False)

    def __str__(self) -> str:
        return shown(without_credentials(self.address))

    @property
    def address(self) -> str:
        """The whole URL. May hold credentials."""
        path = quote(self.path, safe=_IN_PATHS) if self.scheme in WEB else self.path
        return f"{self.scheme}://{self.host}/{path}" + (f"?{self.query}" if self.query else "")

    @property
    def place(self) -> str:
        """`BUCKET/PATH`, as fsspec names objects."""
        return f"{self.host}/{self.path}".rstrip("/")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.path).suffix

    @property
    def parent(self) -> Url:
        """What stands above it, in the same store."""
        return replace(self, path=self.path.rstrip("/").rpartition("/")[0])

    def __truediv__(self, name: str) -> Url:
        """An object below this one. Raises ValueError for a name that `leads_out`."""
        if fault := leads_out(name):
            raise ValueError(f"{name!r} {fault}")
        return replace(self, path=f"{self.path.rstrip('/')}/{name}".lstrip("/"))

    def joinpath(self, *names: str) -> Url:
        """As `/`, for several names."""
        url = self
        for name in names:
            url = url / name
        return url

    def relative_to(self, root: Url) -> PurePosixPath:
        """The path below a root. Raises ValueError for an object that is not below it."""
        above = root.path.rstrip("/")
        if replace(self, path="") != replace(root, path=""):
            raise ValueError(f"{self} is not below {root}")
        return PurePosixPath("/" + self.path).relative_to("/" + above)

    @property
    def parents(self) -> Iterator[Url]:
        """What stands above it, the nearest first."""
        url = self
        while url.path:
            url = url.parent
            yield url


def is_url(text: object) -> bool:
    """Whether a text is written as a URL, of whatever scheme."""
    return isinstance(text, Url) or (isinstance(text, str) and _URL.match(text) is not None)


def leads_out(name: str) -> str:
    """Why a relative name, as lists have it, cannot be joined to a root; empty if it can.

    Names are names, not references: what would be a query or another host in a URL is a part of the name.
    """
    parts = name.split("/")
    if not name or _UNSEEN.search(name):
        return "is empty or has a control character"
    if is_url(name) or name.startswith("/") or "\\" in name:
        return "is not relative: it is written with slashes, without one at its start"
    if not {"", ".", ".."}.isdisjoint(parts):
        return "has an empty part, '.' or '..', and could lead out of the root"
    return ""


def parsed(text: str, key: str = "") -> Url:
    """The URL that a setting (`key`), a list or a command line names. Raises UserError for one that is not usable."""
    found = _URL.fullmatch(text.strip())
    named = f"{without_credentials(shown(text))}{f' ({key})' if key else ''}"
    scheme = found[1].lower() if found else ""
    if found is None or scheme not in SCHEMES:
        right = f"stores: {', '.join(f'{name}://' for name in SCHEMES)}"
        raise UserError(f"{named} is in no store that can be read", f"{right}; a file of this machine is a path")
    host, _, rest = found[2].partition("/")
    if "@" in host:
        right = "credentials never stand in a URL, which is stored and shown\n" + CREDENTIALS.get(scheme, OF_WEB)
        raise UserError(f"{named} has a user or a password in it", right)
    path, _, query = rest.partition("?") if scheme in WEB else (rest, "", "")
    path = unquote(path.partition("#")[0]) if scheme in WEB else path
    parts = path.strip("/").split("/")
    if not host or set(host) & set("?#\\ ") or _UNSEEN.search(rest) or (path.strip("/") and _climbs(parts)):
        raise UserError(f"{named} is no URL of an object", f"such as {scheme}://{_example(scheme)}")
    return Url(scheme, host.lower() if scheme in WEB else host, path.strip("/"), query.partition("#")[0])


def _climbs(parts: list[str]) -> bool:
    return not {"", ".", ".."}.isdisjoint(parts)


def _example(scheme: str) -> str:
    return "datasets/OWNER/NAME/FOLDER" if scheme == "hf" else f"{'HOST' if scheme in WEB else 'BUCKET'}/FOLDER/a.wav"
