"""What keeps the page, and its browser, on this machine."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# 'unsafe-inline' and 'unsafe-eval' are Gradio's own; what counts is that every source is this page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'"
)


class StayLocal:
    """Middleware that answers, and lets the browser connect to, this machine alone.

    Args:
        app: application of the page.
        host: name that the page is served under.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        name = socket.gethostname().lower()
        self.names = {"localhost", host.lower(), name, f"{name}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse requests under foreign names, and add the policy to all other answers."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if not self._is_own(Headers(scope=scope).get("host", "")):
            refusal = PlainTextResponse("This page answers to its own address only.", 421)
            await refusal(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            """Send a message, with the policy among its headers."""
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = POLICY
                headers["referrer-policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, send_with_policy)

    def _is_own(self, host: str) -> bool:
        """Tell whether a name is this machine's own; an IP address cannot be rebound."""
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]  # less the port
        name = name.strip("[]")
        try:
            ip_address(name)
        except ValueError:
            return name.lower() in self.names
        return True
