"""The server: its routes, the socket it listens at, and its end."""

import contextlib
import errno
import functools
import importlib.resources
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from absl import logging
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from deeplab_tf.config import WebConfig
from deeplab_tf.errors import InputError
from deeplab_tf.web import answer, photograph, upload
from deeplab_tf.web.guard import Guard
from deeplab_tf.web.model import Model, check_look, open_model
from deeplab_tf.web.queue import Queue
from deeplab_tf.web.refusal import Refusal

_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/drawing.js": ("drawing.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PATIENCE = 5  # Seconds, after Ctrl-C, for answers that are on their way.
_BACKLOG = 128


def serve(config: WebConfig) -> None:
    """Serves the page until Ctrl-C.

    Raises:
        InputError: The address or the port cannot be had, or there is no model.
    """
    with contextlib.closing(listen(config.host, config.port)) as listener:
        host, port = listener.getsockname()[:2]
        is_local = ipaddress.ip_address(host.partition("%")[0]).is_loopback
        made = None if is_local or config.token else secrets.token_urlsafe(16)
        model = open_model(config)
        app = create_app(model, config, token=config.token or made, port=port)
        logging.info(
            "%s: %d classes of %s", config.model, len(model.classes), model.name
        )
        _tell_address(host, port, made)
        with contextlib.suppress(KeyboardInterrupt):
            new_server(app).run(sockets=[listener])
        logging.info("Stopped")


def new_server(app: ASGIApp) -> uvicorn.Server:
    """What runs the application: it logs nothing, and opens no file."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,  # An address may have the token in it.
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
    )


def create_app(
    model: Model, config: WebConfig, *, token: str | None = None, port: int = 0
) -> ASGIApp:
    """The application of the page.

    Args:
        model: That looks at photographs.
        config: Limits.
        token: That opens the page; None where no other machine reaches it.
        port: Where it listens.
    """
    page = _Page(model, config)
    routes = [
        *(Route(path, _send_file(*file)) for path, file in _FILES.items()),
        Route("/model", page.describe),
        Route("/segment", page.segment, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _tell_status})
    return Guard(app, token=token, port=port)


class _Page:
    """What is asked by the page: nothing of a request outlives its answer."""

    def __init__(self, model: Model, config: WebConfig) -> None:
        self._model, self._config = model, config
        self._description = answer.describe(model, config)
        self._queue = Queue(config.queue)

    async def describe(self, request: Request) -> Response:
        return _json(self._description)

    async def segment(self, request: Request) -> Response:
        try:
            with self._queue.place():
                return await self._answer(request)
        except Refusal as refusal:
            await upload.drain(request)
            return _tell(refusal.status, str(refusal), refusal.headers)
        except ClientDisconnect:
            return _tell(400, "nobody waits for the answer")
        except Exception:
            logging.exception("a photograph could not be looked at")
            return _tell(500, "something went wrong here; the server's log tells what")

    async def _answer(self, request: Request) -> Response:
        config = self._config
        most = int(config.max_megabytes * 1e6)
        data, name, look = await upload.read_form(request, most)
        check_look(self._model, look)
        photograph.check_header(data, name, max_pixels=int(config.max_megapixels * 1e6))
        task = functools.partial(answer.look_at, self._model, data, name, look, config)
        content = await self._queue.run(task, lambda: _is_connected(request))
        return _json(content) if content else _tell(400, "nobody waits for the answer")


async def _is_connected(request: Request) -> bool:
    return not await request.is_disconnected()


def _send_file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = (importlib.resources.files(__package__) / name).read_bytes()

    async def send(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return send


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _tell(
    status: int, line: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"error": line}, status, headers)


async def _tell_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return _tell(error.status_code, error.detail.lower(), headers)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; nothing answers yet.

    Raises:
        InputError: There is no such address, or the port cannot be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise InputError(f"--host={host}: no address of that name") from None
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(_describe(error, host, port)) from None
    return listener


def _describe(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"--port={port}: another program listens there; take another, or --port=0 "
            "for any that is free"
        )
    if error.errno == errno.EACCES:
        return f"--port={port}: it may not be had; take one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host={host}: not an address of this machine"
    return f"--host={host} --port={port}: {error.strerror}"


def _tell_address(host: str, port: int, made: str | None) -> None:
    """Logs the addresses to open; a token that was made stands in them."""
    query = f"?token={made}" if made else ""
    address = ipaddress.ip_address(host.partition("%")[0])
    names = [host]
    if address.is_unspecified:
        names = [_address_in_network(), "127.0.0.1"]
    for name in names:
        shown = f"[{name}]" if ":" in name else name
        logging.info("http://%s:%d/%s", shown, port, query)
    if not address.is_loopback:
        logging.warning(
            "what goes between browser and server is not encrypted: use it in a "
            "network that you trust"
        )
    logging.info("Ctrl-C ends it")


def _address_in_network() -> str:
    """Of this machine, as others may reach it; nothing is sent to learn it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
