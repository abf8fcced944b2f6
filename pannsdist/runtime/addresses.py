"""Addresses of the web that may be followed: what a redirect may lead to."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from pannsdist.runtime.redaction import without_credentials

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def is_safe(url: str) -> bool:
    """Whether an address is https, or plain http on this machine: nobody between can replace what it sends."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in THIS_MACHINE)


def redirect_fault(first: str, target: str) -> str:
    """Why a server may not redirect from the address that was asked for to a target; empty if it may.

    It may not leave http and https, nor an encrypted connection, or this machine, for plain http; and from a public
    place it may not lead to a private one, whose answers are not for it, such as the metadata of a virtual machine.
    """
    try:
        scheme, host = urlsplit(target).scheme, urlsplit(target).hostname
    except ValueError:
        scheme, host = "", None
    named = without_query(target)
    if scheme not in ("http", "https") or not host:
        return f"the server redirects to {named}, which is no address of http"
    if is_safe(first) and not is_safe(target):
        return f"the server redirects to {named}, which is not https"
    if _is_private(host) and not _is_private(urlsplit(first).hostname or ""):
        return f"the server redirects to {named}, an address of a private network"
    return ""


def without_query(url: str) -> str:
    """An address for a message: no credentials, and nothing of the query, where a token may be."""
    address, mark, _ = without_credentials(url).partition("?")
    return f"{address}?***" if mark else address


def _is_private(host: str) -> bool:
    """Whether a host is named as one of this machine or of a private network. No name is looked up."""
    if host in THIS_MACHINE or host.endswith(".localhost"):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False
