"""Addresses of the server: IPv6, and the proxies of the environment."""

import os


def bare_host(host: str) -> str:
    """Remove the brackets of an IPv6 address, as sockets take it.

    >>> bare_host("[::1]"), bare_host("127.0.0.1")
    ('::1', '127.0.0.1')
    """
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def url_host(host: str) -> str:
    """Add the brackets of an IPv6 address, as URLs need it.

    >>> url_host("::1"), url_host("localhost")
    ('[::1]', 'localhost')
    """
    host = bare_host(host)
    return f"[{host}]" if ":" in host else host


def bypass_proxies(host: str) -> None:
    """Let this process reach its own address directly, not through a proxy of the environment.

    Gradio requests a page of its own server at the start. A proxy cannot reach that server.
    """
    own = ["localhost", "127.0.0.1", "::1", bare_host(host)]
    for name in ("no_proxy", "NO_PROXY"):
        others = [one for one in os.environ.get(name, "").split(",") if one and one not in own]
        os.environ[name] = ",".join([*others, *dict.fromkeys(own)])
