"""Mirrors: other addresses of published files, from the environment. Names and checksums stay the publisher's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pannsdist.runtime.addresses import is_safe
from pannsdist.runtime.errors import SettingsError
from pannsdist.runtime.foreign import excerpt

SETTING = "PANNSDIST_MIRROR"
"""START=MIRROR, several of them separated by spaces. START is a host, or the start of an address."""
ENDPOINTS = {
    "HF_ENDPOINT": ("huggingface.co", "hf.co"),
    "MODELSCOPE_DOMAIN": ("www.modelscope.cn", "modelscope.cn"),
}
"""Variables of other tools that hold the mirror of these hosts; MODELSCOPE_DOMAIN is a host without `https://`."""
EXAMPLE = f"{SETTING}='zenodo.org=https://mirror.example.org/zenodo'"


@dataclass(frozen=True)
class Mirror:
    """`address` takes the place of `start`, the start of published addresses; `variable` is where that is set."""

    variable: str
    start: str
    address: str

    def rest(self, url: str) -> str | None:
        """What follows the start in a URL; None for a URL of another place."""
        scheme, host, path = _parts(url)
        whole = f"{scheme}{host}{path}" if "://" in self.start else f"{host}{path}"
        rest = whole.removeprefix(self.start)
        return rest if whole.startswith(self.start) and (not rest or rest[0] in "/?#") else None

    @property
    def way_back(self) -> str:
        """How to get files from the published address again."""
        return f"without the mirror: unset {self.variable}"

    def url(self, published: str) -> str:
        """The address of a published file on the mirror."""
        return f"{self.address}{self.rest(published)}"


def mirror_of(url: str) -> Mirror | None:
    """The mirror to fetch a published URL from; None for the URL itself.

    An entry of PANNSDIST_MIRROR comes before the variables of other tools, and of several the longest start counts.
    Raises SettingsError for a variable that holds no mirror.
    """
    own = [one for one in _entries(os.environ.get(SETTING, "")) if one.rest(url) is not None]
    found = own or [one for one in _endpoints(urlsplit(url).hostname or "") if one.rest(url) is not None]
    mirror = max(found, key=lambda one: len(one.start), default=None)
    return None if mirror is None or mirror.url(url) == url else mirror


def _entries(text: str) -> Iterator[Mirror]:
    starts = set()
    for entry in text.split():
        start, _, address = entry.partition("=")
        scheme, host, path = _parts(start)
        if not address or not host or scheme not in ("", "https://", "http://"):
            wrong = f"{SETTING} has '{excerpt(entry)}', which is not START=MIRROR"
            raise SettingsError(wrong, f"several are separated by spaces, such as {EXAMPLE}")
        if (scheme, host, path) in starts:
            raise SettingsError(f"{SETTING} has two mirrors for {excerpt(start)}", "leave one")
        starts.add((scheme, host, path))
        yield Mirror(SETTING, f"{scheme}{host}{path}".rstrip("/"), _address(SETTING, address))


def _endpoints(host: str) -> Iterator[Mirror]:
    for variable, hosts in ENDPOINTS.items():
        address = os.environ.get(variable, "").strip()
        if address and host in hosts:
            yield Mirror(variable, host, _address(variable, address if "://" in address else f"https://{address}"))


def _address(variable: str, address: str) -> str:
    """The address of a mirror without a slash at its end. Raises SettingsError."""
    try:
        parts = urlsplit(address)
        is_usable = bool(parts.hostname) and not parts.query and not parts.fragment and is_safe(address)
    except ValueError:
        is_usable = False
    if not is_usable:
        right = "a mirror is an https address without a query; plain http is allowed on this machine only (localhost)"
        raise SettingsError(f"{variable} has the mirror '{excerpt(address)}'", f"{right}\nsuch as {EXAMPLE}")
    return address.rstrip("/")


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme with `://` or empty, host with port in lower case, and the rest of an address."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    host = rest.partition("/")[0]
    return f"{scheme.lower()}{separator}", host.lower(), rest[len(host) :]
