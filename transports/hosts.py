"""The names under which this server is reached. A request for another name comes from a page whose own name leads to
our address (DNS rebinding), and would do in the visitor's browser what only our pages may."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from config.settings import Settings


class Hosts:
    """Our names. An address is nobody's name, and localhost leads to nobody but this machine."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {_bare(name) for name in names}

    @classmethod
    def from_settings(cls, settings: Settings) -> Hosts:
        http = settings.http
        return cls((settings.public_assistant_host, http.host, *http.host_names))

    def is_ours(self, host: str) -> bool:
        """`host` as a Host header has it, with or without a port."""
        name = _bare(host)
        return name in self._names or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _bare(host: str) -> str:
    """The name in `host:port`, in lower case and without the root's dot; "" if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
