"""Every option that Callboard knows, in one place: typed, documented, read from the environment.

A group's options are `GROUP__OPTION` (POSTGRES__PORT). `CALLBOARD_CONFIG` may name a YAML file with the same names in
lower case (`postgres: {port: 5432}`); the environment wins. docs/settings.md is written from here by `settings_page`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from config.errors import ConfigError
from config.folders import expanded
from config.options import Option, env_name, options
from config.yaml_file import read_yaml

CONFIG_FILE = "CALLBOARD_CONFIG"
FILE_BYTES = 64 << 10  # a tenth of a second to read, for which the main process of a node looks after nothing else
_SHOWN, _SHOWN_CHARS = 10, 200  # of what is wrong in it, and of each value

Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535)]  # 0: any free one
Folder = Annotated[Path, AfterValidator(expanded)]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _module_name(value: str) -> str:
    if not all(part.isidentifier() for part in value.split(".")):
        raise ValueError(f"{value!r} is not the name of a Python module")
    return value


def _host_and_port(value: str) -> str:
    try:
        parts = urlsplit(f"//{value}")
        is_host = not value or (bool(parts.hostname) and parts.port != 0)
    except ValueError:  # a port that is none, a bracket too few
        is_host = False
    if not is_host or any(mark in value for mark in "/?#@ ") or not value.isprintable():
        raise ValueError("a host name with or without a port, but no scheme and no path")
    return value


class Group(BaseModel):
    """Options with one prefix. `unused` are names of Rapida's that mean nothing here and must not be refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    unused: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _drop_unused(cls, values: Any) -> Any:
        return {k: v for k, v in values.items() if k not in cls.unused} if isinstance(values, dict) else values


class HttpSettings(Group):
    """The HTTP and WebSocket listener."""

    host: str = Field("127.0.0.1", description="Address that HTTP and WebSocket listen on", examples=["0.0.0.0"])
    port: ListenPort = Field(9007, description="Port of HTTP and WebSocket; 0: any free one")
    host_names: Annotated[
        tuple[Annotated[str, AfterValidator(_host_and_port)], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        (),
        description="Further names of the HTTP listener, comma-separated; AUTH__MODE=open refuses all others",
        examples=["callboard,callboard.internal"],
    )


class AudioSocketSettings(Group):
    """The listener for Asterisk's AudioSocket."""

    host: str = Field("127.0.0.1", description="Address that AudioSocket listens on", examples=["0.0.0.0"])
    port: ListenPort = Field(4573, description="Port of AudioSocket; 0: any free one")
    first_frame_s: float = Field(2.0, gt=0, le=60, description="A connection must name its call within this time")
    max_connections_per_peer: int = Field(200, ge=1, le=100_000, description="Connections that one address may hold")
    silent_s: float = Field(
        0,
        ge=0,
        le=86_400,
        description="A call whose Asterisk sends nothing for so long ends; 0: it may be silent, TCP finds a dead one",
    )


class SipSettings(Group):
    """The SIP edge. The listener itself comes later; its options are already checked."""

    server: str = Field("127.0.0.1", description="Address that SIP listens on", examples=["0.0.0.0"])
    external_ip: str = Field("", description="Address that callers see, behind NAT", examples=["203.0.113.7"])
    port: Port = Field(5090, description="Port of SIP signalling")
    transport: Annotated[Literal["udp", "tcp", "tls"], BeforeValidator(_lower)] = Field(
        "udp", description="Transport of SIP signalling"
    )
    rtp_port_range_start: Port = Field(10000, description="First port of RTP")
    rtp_port_range_end: Port = Field(20000, description="Last port of RTP")

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> SipSettings:
        if self.rtp_port_range_end <= self.rtp_port_range_start:
            raise ValueError("SIP__RTP_PORT_RANGE_END must be over SIP__RTP_PORT_RANGE_START")
        return self


class PostgresSettings(Group):
    """The database; without a host it is an SQLite file in DATA_DIR."""

    unused = frozenset({"max_ideal_connection", "slc_cache"})

    host: str = Field("", description="Host of PostgreSQL; empty: SQLite in DATA_DIR", examples=["127.0.0.1"])
    port: Port = Field(5432, description="Port of PostgreSQL")
    user: str = Field(
        "callboard",
        description="User of PostgreSQL",
        validation_alias=AliasChoices("user", AliasPath("auth", "user")),
    )
    password: SecretStr = Field(
        SecretStr(""),
        description="Password of PostgreSQL",
        validation_alias=AliasChoices("password", AliasPath("auth", "password")),
    )
    db_name: str = Field(
        "callboard", description="Database of PostgreSQL", validation_alias=AliasChoices("db_name", "database")
    )
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="Whether the connection is encrypted, as libpq says it"
    )
    max_open_connection: int = Field(10, ge=1, le=1000, description="Connections that one worker may hold")


class RedisSettings(Group):
    """What several nodes share; without a host a node is alone."""

    unused = frozenset({"max_connection", "max_db"})

    host: str = Field("", description="Host of Redis; empty: none, this node is alone", examples=["127.0.0.1"])
    port: Port = Field(6379, description="Port of Redis")
    user: str = Field("", description="User of Redis", validation_alias=AliasChoices("user", AliasPath("auth", "user")))
    password: SecretStr = Field(
        SecretStr(""),
        description="Password of Redis",
        validation_alias=AliasChoices("password", AliasPath("auth", "password")),
    )
    db: int = Field(0, ge=0, le=1000, description="Database number of Redis")


class TwilioSettings(Group):
    """The account whose webhooks we answer."""

    account_sid: str = Field(
        "",
        description="Account whose calls are taken; empty: any",
        pattern=r"^(AC[0-9a-f]{32})?$",
        examples=["AC and 32 hexadecimal digits"],
    )
    auth_token: SecretStr = Field(
        SecretStr(""), description="Checks X-Twilio-Signature; empty: webhooks need an API key instead"
    )
    silent_s: float = Field(
        30,
        ge=0,
        le=86_400,
        description="A call whose stream brings nothing for so long ends, as Twilio always sends; 0: never",
    )


class BrowserSettings(Group):
    """The page's media socket, and any other RTVI client."""

    silent_s: float = Field(
        45,
        ge=0,
        le=86_400,
        description="A call whose client answers no ping for so long ends; 0: never, it is not pinged",
    )


class AuthSettings(Group):
    """Who may start calls."""

    mode: Annotated[Literal["key", "open"], BeforeValidator(_lower)] = Field(
        "key", description="key: webhooks need an API key or a signature; open: anybody may start calls"
    )


class LimitSettings(Group):
    """What one worker takes before it refuses."""

    max_calls: int = Field(400, ge=1, le=100_000, description="Simultaneous calls of one worker")
    shed: bool = Field(
        True, description="Refuse new calls while a worker cannot keep up with those that it has; see docs/overload.md"
    )
    calls_per_minute: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Calls that one API key may start in a minute, on all workers that share Redis",
    )
    message_bytes: int = Field(65536, ge=1024, le=16_777_216, description="Longest WebSocket message")
    messages_per_s: float = Field(
        400, ge=50, le=1_000_000, description="Messages that one media connection may send in a second, in the long run"
    )
    bytes_per_s: float = Field(
        1_048_576,
        ge=16_384,
        le=1e9,
        description="Bytes that one media connection may send in a second, in the long run",
    )
    burst_s: float = Field(
        10, ge=1, le=300, description="Seconds' worth of both that may come at once, after a hiccup of the network"
    )
    keys_per_minute: int = Field(300, ge=1, le=100_000, description="Keys of one caller that are heard in a minute")
    questions_per_minute: int = Field(
        60, ge=1, le=100_000, description="Questions of one call that a language model is asked in a minute"
    )
    question_characters: int = Field(
        8000, ge=100, le=10_000_000, description="Longest question; of a longer one the end is asked"
    )
    history_characters: int = Field(
        100_000, ge=1000, le=100_000_000, description="How much of a call's history a language model is given, its end"
    )
    tokens_per_call: int = Field(
        0, ge=0, description="Tokens that one call may use, where the provider tells them; 0: any number"
    )
    unknown_calls_per_minute: int = Field(
        120,
        ge=1,
        le=1_000_000,
        description="Media connections with the id of no call that one address may make, then it waits",
    )
    texts_per_minute: int = Field(30, ge=1, le=100_000, description="Texts of one caller that are taken in a minute")
    body_bytes: int = Field(65536, ge=1024, le=16_777_216, description="Longest HTTP request body")
    unfinished_bytes: int = Field(
        33_554_432, ge=1_048_576, description="What all unfinished HTTP requests of one worker may hold together"
    )
    connections: int = Field(
        2048,
        ge=8,
        le=1_000_000,
        description="Connections without a call that one worker holds; fewer where `ulimit -n` is low",
    )
    connections_per_peer: int = Field(
        1024, ge=4, le=1_000_000, description="Connections without a call that one worker holds for one address"
    )
    start_deadline_s: float = Field(5.0, gt=0, le=60, description="A media WebSocket must say `start` within this time")

    @model_validator(mode="after")
    def _a_message_fits_the_burst(self) -> LimitSettings:
        if self.message_bytes > self.bytes_per_s * self.burst_s:
            raise ValueError("LIMITS__MESSAGE_BYTES must not be over LIMITS__BYTES_PER_S x LIMITS__BURST_S")
        return self


class NodeSettings(Group):
    """This node: one machine's workers under one manager."""

    name: str = Field(
        "callboard", pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$", description="Name of this node, unique in its cluster"
    )
    control_host: str = Field("127.0.0.1", description="IP address of the control ports", examples=["10.0.0.5"])
    control_port: ListenPort = Field(0, description="Port of the node's administration; 0: any free one")
    convention: str = Field(
        "", description="Control address of the cluster's leader; empty: this node is alone", examples=["10.0.0.5:1900"]
    )
    cluster_secret: SecretStr = Field(
        SecretStr(""), description="Authenticates every frame on the control ports; empty: a fresh one at each start"
    )
    drain_s: float = Field(60.0, ge=0, le=86_400, description="After SIGTERM calls may go on for so long")
    orphan_s: float = Field(
        900.0, ge=0, le=86_400, description="After the loss of the node's manager its calls may go on for so long"
    )
    watchdog_s: float = Field(3.0, ge=0.5, le=60, description="A worker that is silent for so long is replaced")
    worker_memory_mb: int = Field(2048, ge=128, description="A worker that grows beyond this is drained and replaced")


class OperatorSettings(Group):
    """The operators' listener: inspection and metrics."""

    host: str = Field("127.0.0.1", description="Address that the operators' HTTP listens on", examples=["10.0.0.5"])
    port: ListenPort = Field(9008, description="Port of the operators' HTTP; 0: any free one")
    token: SecretStr = Field(
        SecretStr(""), description="What operators show; empty: a fresh one at each start, in DATA_DIR/operator.json"
    )


class Settings(BaseSettings):
    """All options. Constructing it reads nothing: `load_settings` reads the environment that it is given."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_nested_delimiter="__", env_ignore_empty=True)

    public_assistant_host: Annotated[str, AfterValidator(_host_and_port)] = Field(
        "",
        description="Host under which carriers reach us, for the URLs that we hand out; empty: HTTP__HOST:HTTP__PORT",
        examples=["calls.example.com"],
    )
    data_dir: Folder = Field(
        Path("~/.local/share/callboard"),
        description="Folder of what is kept, closed to other users; XDG_DATA_HOME moves the default",
        examples=["/var/lib/callboard"],
    )
    context_ttl_s: float = Field(
        120.0, gt=0, le=3600, description="Media must connect so soon after its webhook was answered"
    )
    extra_providers: Annotated[
        tuple[Annotated[str, AfterValidator(_module_name)], ...], NoDecode, BeforeValidator(_split)
    ] = Field((), description="Modules with further providers, comma-separated", examples=["acme.stt,acme.tts"])
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="Least serious message that is logged"
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = Field(
        "text", description="Lines for people or JSON objects for machines"
    )
    auth: AuthSettings = AuthSettings()
    http: HttpSettings = HttpSettings()
    audiosocket: AudioSocketSettings = AudioSocketSettings()
    sip: SipSettings = SipSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    twilio: TwilioSettings = TwilioSettings()
    browser: BrowserSettings = BrowserSettings()
    limits: LimitSettings = LimitSettings()
    node: NodeSettings = NodeSettings()
    operator: OperatorSettings = OperatorSettings()

    @model_validator(mode="after")
    def _a_cluster_shares_its_state(self) -> Settings:
        if self.node.convention and not self.redis.host:
            raise ValueError("NODE__CONVENTION names a cluster: REDIS__HOST is required for more than one node")
        if self.node.convention and not self.node.cluster_secret.get_secret_value():
            raise ValueError("NODE__CONVENTION names a cluster: its nodes need one NODE__CLUSTER_SECRET")
        return self

    @property
    def public_host(self) -> str:
        """Host and port for the URLs that we hand out."""
        return self.public_assistant_host or f"{self.http.host}:{self.http.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """What `environ` and its CALLBOARD_CONFIG file say; `ConfigError` lists every wrong option, a line each."""
    values = _merged(_from_file(environ.get(CONFIG_FILE, "")), _from_environ(environ))
    if home := environ.get("XDG_DATA_HOME"):
        values.setdefault("data_dir", Path(home) / "callboard")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError(_few([_complaint(detail) for detail in error.errors()], "\n")) from None


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    lower = {name.lower(): value for name, value in environ.items() if value}
    groups = {option.path[0] for option in options(Settings) if len(option.path) > 1}
    if plain := sorted(groups & lower.keys()):
        raise ConfigError("\n".join(f"{n.upper()}: is a group; its options are {n.upper()}__NAME" for n in plain))
    source = EnvSettingsSource(Settings)
    source.env_vars = lower
    return source()


def _from_file(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        document = read_yaml(Path(path), FILE_BYTES)
    except ConfigError as error:
        raise ConfigError(f"{CONFIG_FILE} = {path!r}{str(error).removeprefix(path)}") from None
    if wrong := [document.complaint(problem) for problem in document.problems if problem.fatal]:
        raise ConfigError(_few([f"{CONFIG_FILE} = {path!r}{line.removeprefix(path)}" for line in wrong], "\n"))
    content = document.content if document.content is not None else {}
    if not isinstance(content, dict):
        raise ConfigError(f"{CONFIG_FILE} = {path!r}: must hold a mapping of options")
    if unknown := [str(name)[:_SHOWN_CHARS] for name in content if name not in Settings.model_fields]:
        raise ConfigError(f"{CONFIG_FILE} = {path!r}: unknown {_few(unknown, ', ')}; see docs/settings.md")
    return content


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _complaint(detail: ErrorDetails) -> str:
    """One line: the name, the value (masked if secret), what is legal."""
    name = env_name(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{name}: unknown option, or given under its other name too; see docs/settings.md"
    option = next((option for option in options(Settings) if name in option.names), None)
    is_rule = detail["type"] == "value_error"
    text = detail["msg"].removeprefix("Value error, ")
    if option is None:  # a group: a rule over its options, whose text names them, or something that is no group
        return text if is_rule else f"{name}: {text}"
    reason = f"{text}; " if is_rule else ""
    return f"{name} = {option.shown(detail['input'])!r:.{_SHOWN_CHARS}}: {reason}legal: {option.legal}"


def _few(texts: list[str], between: str) -> str:
    """A wrong file may hold thousands, and goes into one line of the log."""
    more = [f"and {len(texts) - _SHOWN} more"] * (len(texts) > _SHOWN)
    return between.join([*texts[:_SHOWN], *more])


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One line of `callboard config`; a secret's value is masked."""

    name: str
    value: str
    is_default: bool
    description: str
    legal: str


def describe(settings: Settings) -> list[OptionRow]:
    """Every option with its effective value."""
    defaults = Settings()
    return [_row(option, option.value_in(settings), option.value_in(defaults)) for option in options(Settings)]


def _row(option: Option, value: Any, default: Any) -> OptionRow:
    return OptionRow(option.name, option.shown(value), value == default, option.description, option.legal)


def settings_page() -> str:
    """The text of docs/settings.md."""
    lines = [
        f"| {_code(*option.names)} | {_code(option.shown(option.default))} | {option.legal} | {option.description} |"
        for option in options(Settings)
    ]
    return "\n".join([_PAGE_HEAD, *lines, ""])


def _code(*texts: str) -> str:
    return " ".join(f"`{text}`" for text in texts if text)


_PAGE_HEAD = f"""# Settings

Options are environment variables. `{CONFIG_FILE}` may name a YAML file (at most 64 KB) with the same names in lower
case (`postgres: {{port: 5432}}`); the environment wins, and an empty variable counts as unset. `callboard config` shows
the effective values. Written from `config/settings.py` by
`python -c "from config.settings import settings_page; print(settings_page(), end='')" > docs/settings.md`.

| option | default | legal | what it does |
|---|---|---|---|"""
