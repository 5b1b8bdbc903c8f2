"""The HTTP side at a glance: which URL is answered by what, and the limits of the server behind it."""

from __future__ import annotations

from tornado.routing import URLSpec
from tornado.web import Application

from config.settings import Settings
from transports import conversations, health, media, page, webhooks
from transports.front import FrontServer
from transports.web import AppServices, NotFound

HEAD_BYTES = 16_384  # of a request's line and headers; more is never read at once
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


def make_server(services: AppServices) -> FrontServer:
    """The HTTP server. How long a body may be and take is each handler's business (`transports.requests`)."""
    return FrontServer(
        make_app(services),
        arrivals=services.arrivals,
        xheaders=False,
        idle_connection_timeout=services.limits.request_s,
        max_header_size=HEAD_BYTES,
        max_body_size=most_body_bytes(services.settings),
        chunk_size=HEAD_BYTES,
        max_buffer_size=4 * HEAD_BYTES,
    )


def most_body_bytes(settings: Settings) -> int:
    """Where the server itself cuts a body off; chunks: our own limit is told before."""
    return 2 * settings.limits.body_bytes
