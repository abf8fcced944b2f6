"""Names of machines that are network namespaces."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from network import Host

NETNS = Path("/etc/netns")
"""What lies in NETNS/NAME/hosts is /etc/hosts for what `ip netns exec NAME` starts."""


@contextmanager
def known(hosts: Sequence[Host], addresses: Mapping[str, str]) -> Iterator[None]:
    """Context in which what is started on these machines knows the names, and no others."""
    text = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
    try:
        for host in hosts:
            (NETNS / host.namespace).mkdir(parents=True)
            (NETNS / host.namespace / "hosts").write_text(text)
        yield
    finally:
        for host in hosts:
            shutil.rmtree(NETNS / host.namespace, ignore_errors=True)
