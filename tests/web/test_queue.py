"""Many at once: one worker, a limit, and to each their own picture."""

import asyncio
import threading

import pytest

from tests.web.serving import Page, encode, halves

pytest.importorskip("starlette", reason="the extra [web] is not installed")


def send_all(page, photographs, release):
    """Sends all at once, and lets the model look when `release` says so."""

    async def run():
        async with page.client() as client:
            sent = [
                asyncio.create_task(
                    client.post("/segment", files={"photograph": ("a.png", data)})
                )
                for data in photographs
            ]
            await release(sent)
            return await asyncio.gather(*sent)

    return asyncio.run(run())


def test_of_50_at_once_20_are_looked_at_and_30_are_told_to_come_again():
    page = Page()
    page.model.hold.clear()

    async def release(sent):
        while sum(task.done() for task in sent) < 30:
            await asyncio.sleep(0.01)
        page.model.hold.set()

    answers = send_all(page, [encode(halves())] * 50, release)
    assert [each.status_code for each in answers] == [200] * 20 + [503] * 30
    assert len(page.model.asked) == 20
    assert int(answers[-1].headers["retry-after"]) >= 1
    line = answers[-1].json()["error"]
    assert line.startswith("20 photographs are waiting already; try again in ")
    assert page.send(encode(halves())).status_code == 200  # All places are free again.


def test_each_gets_an_answer_to_the_own_photograph():
    page = Page()
    widths = list(range(11, 26))
    photographs = [encode(halves(7, width, left=(0, 220, 0))) for width in widths]

    async def release(sent):
        pass

    answers = send_all(page, photographs, release)
    assert [each.json()["width"] for each in answers] == widths
    assert [each.json()["classes"][2]["pixels"] for each in answers] == [
        7 * (width // 2) for width in widths
    ]


def test_one_is_looked_at_at_a_time():
    page = Page()
    inside, most, lock = 0, 0, threading.Lock()
    predict = page.model.predict

    def count(image, look):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        try:
            return predict(image, look)
        finally:
            with lock:
                inside -= 1

    page.model.predict = count

    async def release(sent):
        pass

    send_all(page, [encode(halves())] * 8, release)
    assert most == 1


def test_who_has_gone_is_not_looked_at():
    page = Page()
    page.model.hold.clear()

    async def ask(leave):
        """The application's own interface: a client that leaves while it waits."""
        boundary = b"--x\r\n"
        head = b'content-disposition: form-data; name="photograph"; filename="a.png"'
        body = boundary + head + b"\r\n\r\n" + encode(halves()) + b"\r\n--x--\r\n"
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent = []

        async def receive():
            if messages:
                return messages.pop()
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        kind = b"multipart/form-data; boundary=x"
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/segment",
            "raw_path": b"/segment",
            "query_string": b"",
            "scheme": "http",
            "headers": [(b"host", b"localhost"), (b"content-type", kind)],
        }
        await page.app(scope, receive, send)
        return sent[0]["status"]

    async def run():
        stays, leaves = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(ask(stays))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(ask(leaves))
        await asyncio.sleep(0.05)
        leaves.set()
        page.model.hold.set()
        return await first, await second

    assert asyncio.run(run()) == (200, 400)
    assert len(page.model.asked) == 1
