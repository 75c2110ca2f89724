import httpx
import pytest

from brushwork_demo.foyer import close_foyer, open_foyer


@pytest.fixture
def foyer(loopback):
    server = open_foyer(loopback, None)
    yield server
    close_foyer(server)


def test_a_picture_stands_at_the_address_before_the_server_is_there(foyer, loopback):
    host = f"[{loopback}]" if ":" in loopback else loopback
    url = f"http://{host}:{foyer.server_port}"
    page = httpx.get(f"{url}/?painter=monet&seed=7")
    assert page.status_code == 200 and 'src="data:image/jpeg;base64,/9j/' in page.text
    assert page.headers["cache-control"] == "no-store" and 'alt="' in page.text
    assert httpx.get(f"{url}/health").status_code == 503
    assert httpx.get(f"{url}/../../etc/passwd").status_code == 503


def test_the_port_is_free_afterwards_and_a_used_one_is_refused(loopback):
    first = open_foyer(loopback, None)
    port = first.server_port
    with pytest.raises(OSError, match="in use"):
        open_foyer(loopback, port)
    close_foyer(first)
    again = open_foyer(loopback, port)
    assert again.server_port == port
    close_foyer(again)
