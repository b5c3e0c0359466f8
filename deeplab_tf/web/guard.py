"""Who may ask: the door of the page, and what its answers forbid browsers to do.

Another page that a user has open must not send photographs here, nor read answers
(Origin, Sec-Fetch-Site), also not by a name that it lets point to this machine (DNS
rebinding: Host). Where others reach the port, a token opens the door.
"""

import hmac
import importlib.resources
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# All that the page loads is its own; what it draws, it makes itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_OPEN_TO_ALL = ("/page.css", "/icon.svg")  # What the locked page is made of.
_WEEK = 7 * 24 * 3600  # Seconds that a browser keeps the token.


class Guard:
    """Middleware: refuses what is not asked by the page itself or by a program.

    Attributes:
        app: What is guarded.
        token: That opens it; None where this machine alone reaches the port.
        cookie: Name under which a browser keeps the token.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, port: int) -> None:
        self.app = app
        self.token = token
        self.cookie = f"deeplab_web_{port}"  # Cookies know no ports of their own.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = self._refuse_others(scope) or self._ask_for_token(scope)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refuse_others(self, scope: Scope) -> Response | None:
        """Answers what another page, or a name of another, asks for."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and not _is_local(host):
            return _line(421, "this page answers to 127.0.0.1 and localhost alone")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return _line(403, "another page may not ask this one")
        site = headers.get("sec-fetch-site", "none")
        is_link = (
            scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        )
        if site not in ("none", "same-origin") and not is_link:
            return _line(403, "another page may not ask this one")
        return None

    def _ask_for_token(self, scope: Scope) -> Response | None:
        """Answers who has none; puts one that comes in the address into a cookie."""
        if self.token is None or scope["path"] in _OPEN_TO_ALL:
            return None
        request = Request(scope)
        given = request.query_params.get("token")
        if scope["path"] == "/" and given is not None:
            if not self._opens(given.strip()):
                return _locked()
            answer = RedirectResponse(_at_root(scope), status_code=303)
            answer.set_cookie(
                self.cookie,
                self.token,
                max_age=_WEEK,
                httponly=True,
                samesite="lax",  # A link in a mail may lead here; a form may not.
                secure=scope["scheme"] == "https",
            )
            return answer
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        bearer = secret.strip() if kind.lower() == "bearer" else ""
        if self._opens(bearer) or self._opens(request.cookies.get(self.cookie, "")):
            return None
        if scope["path"] == "/":
            return _locked()
        return _line(401, "a token is needed: Authorization: Bearer TOKEN")

    def _opens(self, given: str) -> bool:
        """Whether it is the token; how long that takes tells nothing of it."""
        return hmac.compare_digest(given.encode(), str(self.token).encode())


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine from within."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _at_root(scope: Scope) -> str:
    """The page's address without what follows the ?."""
    return f"{scope.get('root_path', '')}/"


def _line(status: int, what: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": what}, status, headers)


def _locked() -> Response:
    page = importlib.resources.files(__package__) / "locked.html"
    return HTMLResponse(page.read_text("utf-8"), 401)
