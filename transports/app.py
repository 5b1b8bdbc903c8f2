"""The HTTP side at a glance: which URL is answered by what, and the limits of the server behind it."""

from __future__ import annotations

from tornado.httpserver import HTTPServer
from tornado.routing import URLSpec
from tornado.web import Application

from transports import conversations, health, media, page, webhooks
from transports.web import AppServices, NotFound

_TALK = r"/v1/talk/([^/]+)"


def make_app(services: AppServices) -> Application:
    """The URL table."""
    given = {"services": services}
    table = [
        (r"/", page.PageFile),  # GET: talk by browser
        (r"/static/([^/]+)", page.PageFile),
        (r"/v1/assistants/?", page.Assistants),  # GET: who can be called
        (r"/v1/caller(?:/([0-9]{1,3}))?", page.RecordedCaller),  # GET: what a caller without a microphone says
        (r"/v1/talk/browser/ctx/([^/]+)", page.BrowserSocket),
        (r"/v1/talk/browser/ctx/?", page.BrowserSocket),
        (_TALK + r"/call/([^/]+)", webhooks.CallWebhook),  # GET, POST: a call comes in
        (_TALK + r"/ctx/([^/]+)", media.MediaSocket),  # WebSocket: its audio
        (_TALK + r"/ctx/?", media.MediaSocket),  # the same, with ?contextId=
        (_TALK + r"/ctx/([^/]+)/event", webhooks.EventWebhook),  # POST: its status
        (r"/v1/conversations/([^/]+)", conversations.Conversation),  # GET: transcript, metrics, end
        (r"/healthz/?", health.Alive),
        (r"/readiness/?", health.Ready),
    ]
    return Application(
        [URLSpec(pattern, handler, given) for pattern, handler in table],
        default_handler_class=NotFound,
        default_handler_args=given,
        log_function=lambda handler: None,  # queries may hold keys; each refusal has its own line
    )


def make_server(services: AppServices) -> HTTPServer:
    """The HTTP server. It reads bodies of sixteen times the legal length, so that one too long can be told so (413)."""
    body_bytes = services.settings.limits.body_bytes
    return HTTPServer(
        make_app(services),
        xheaders=False,
        idle_connection_timeout=services.limits.request_s,
        body_timeout=services.limits.request_s,
        max_header_size=16384,
        max_body_size=16 * body_bytes,
        max_buffer_size=32 * body_bytes,
    )
