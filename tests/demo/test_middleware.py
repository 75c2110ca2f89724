import asyncio

from brushwork_demo.middleware import BusyLimit


def test_beyond_the_limit_a_call_is_refused_and_later_ones_are_served():
    entered, statuses = [], []
    leave = asyncio.Event()

    async def slow(_scope, _receive, send):
        entered.append(1)
        await leave.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def note(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def run():
        app = BusyLimit(slow, max_calls=2)
        scope = {"type": "http", "path": "/gradio_api/component_server/"}
        waiting = [asyncio.create_task(app(scope, None, note)) for _ in range(2)]
        await asyncio.sleep(0)
        await app({**scope, "path": "/picture.jpg"}, None, note)
        assert statuses == [503] and len(entered) == 2
        other = asyncio.create_task(app({**scope, "path": "/config"}, None, note))
        await asyncio.sleep(0)
        assert len(entered) == 3, "other requests are not limited"
        leave.set()
        await asyncio.gather(*waiting, other)
        await app(scope, None, note)

    asyncio.run(run())
    assert statuses == [503, 200, 200, 200, 200]
