import os

import httpx
import pytest

from brushwork_demo.network import bypass_proxies

PROXY = "http://127.0.0.1:9"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "[::1]", "192.0.2.1"])
@pytest.mark.parametrize("before", [None, "", "example.org,10.0.0.1"])
def test_the_page_reaches_itself_past_a_proxy(monkeypatch, host, before):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, PROXY)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, before or "")
        if before is None:
            monkeypatch.delenv(name)
    bypass_proxies(host)
    own = "localhost" if host == "0.0.0.0" else f"[{host}]" if host == "::1" else host
    with httpx.Client(verify=False) as client:
        direct = client._transport
        assert client._transport_for_url(httpx.URL(f"http://{own}:7860/")) is direct
        assert client._transport_for_url(httpx.URL("http://example.com/")) is not direct
        exempt = client._transport_for_url(httpx.URL("http://example.org/")) is direct
    assert exempt == (before == "example.org,10.0.0.1")
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"]
