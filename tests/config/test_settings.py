"""The settings: names, defaults, wrong values, masks, the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.settings import Settings, describe, load_settings, settings_page

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_defaults_are_those_of_the_contract() -> None:
    settings = load_settings({})
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 9007)
    assert (settings.audiosocket.host, settings.audiosocket.port) == ("127.0.0.1", 4573)
    assert settings.sip.port == 5090
    assert (settings.auth.mode, settings.postgres.host, settings.context_ttl_s) == ("key", "", 120)
    assert settings.public_host == "127.0.0.1:9007"


def test_the_environment_of_this_process_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP__PORT", "1234")
    assert load_settings({}).http.port == Settings().http.port == 9007


def test_rapidas_names() -> None:
    settings = load_settings(
        {
            "PUBLIC_ASSISTANT_HOST": "calls.example.com",
            "AUDIOSOCKET__HOST": "0.0.0.0",
            "AUDIOSOCKET__PORT": "4574",
            "SIP__SERVER": "0.0.0.0",
            "SIP__EXTERNAL_IP": "203.0.113.7",
            "SIP__PORT": "5060",
            "SIP__RTP_PORT_RANGE_START": "20000",
            "SIP__RTP_PORT_RANGE_END": "20100",
            "POSTGRES__HOST": "db",
            "POSTGRES__DB_NAME": "assistant_db",
            "POSTGRES__AUTH__USER": "rapida_user",
            "POSTGRES__AUTH__PASSWORD": "secret",
            "POSTGRES__MAX_OPEN_CONNECTION": "50",
            "POSTGRES__MAX_IDEAL_CONNECTION": "25",
            "POSTGRES__SSL_MODE": "disable",
            "POSTGRES__SLC_CACHE__AUTH__USER": "",
            "POSTGRES__SLC_CACHE__HOST": "redis",
            "REDIS__HOST": "redis",
            "REDIS__AUTH__PASSWORD": "",
            "REDIS__MAX_CONNECTION": "10",
            "REDIS__MAX_DB": "0",
            "LOG_LEVEL": "DEBUG",
        }
    )
    postgres = settings.postgres
    assert (postgres.host, postgres.db_name, postgres.user) == ("db", "assistant_db", "rapida_user")
    assert (postgres.password.get_secret_value(), postgres.max_open_connection) == ("secret", 50)
    assert (settings.sip.external_ip, settings.sip.rtp_port_range_end) == ("203.0.113.7", 20100)
    assert (settings.public_host, settings.redis.host, settings.log_level) == ("calls.example.com", "redis", "debug")


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"POSTGRES__DATABASE": "x"}, "db_name", "x"),
        ({"POSTGRES__AUTH__USER": "x"}, "user", "x"),
    ],
)
def test_other_names(environ: dict[str, str], field: str, value: str) -> None:
    assert getattr(load_settings(environ).postgres, field) == value


def test_lists_are_comma_separated() -> None:
    assert load_settings({"EXTRA_PROVIDERS": "acme.stt, acme_tts,"}).extra_providers == ("acme.stt", "acme_tts")


def test_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert load_settings({}).data_dir == Path("/home/someone/.local/share/callboard")
    assert load_settings({"XDG_DATA_HOME": "/x"}).data_dir == Path("/x/callboard")
    assert load_settings({"XDG_DATA_HOME": "/x", "DATA_DIR": "~/d"}).data_dir == Path("/home/someone/d")


# --- wrong values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"HTTP__PORT": "70000"}, "HTTP__PORT = '70000': legal: a whole number, at least 0, at most 65535"),
        ({"postgres__port": "abc"}, "POSTGRES__PORT = 'abc': legal: a whole number, at least 1, at most 65535"),
        ({"AUTH__MODE": "none"}, "AUTH__MODE = 'none': legal: key or open"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT = 'xml': legal: text or json"),
        ({"CONTEXT_TTL_S": "0"}, "CONTEXT_TTL_S = '0': legal: a number, over 0, at most 3600"),
        ({"CONTEXT_TTL_S": "nan"}, "CONTEXT_TTL_S = 'nan': legal: a number, over 0, at most 3600"),
        (
            {"POSTGRES__HOTS": "db"},
            "POSTGRES__HOTS: unknown option, or given under its other name too; see docs/settings.md",
        ),
        ({"POSTGRES": "db"}, "POSTGRES: is a group; its options are POSTGRES__NAME"),
        ({"POSTGRES": '{"port": 1}'}, "POSTGRES: is a group; its options are POSTGRES__NAME"),
        ({"HTTP__PORT__X": "1"}, "HTTP__PORT = '{'x': '1'}': legal: a whole number, at least 0, at most 65535"),
    ],
)
def test_a_wrong_value_names_option_value_and_what_is_legal(environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    assert str(caught.value).replace('"', "'") == complaint.replace('"', "'")


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"PUBLIC_ASSISTANT_HOST": "https://x"}, "no scheme"),
        ({"EXTRA_PROVIDERS": "a,b c"}, "'b c' is not the name of a Python module"),
        ({"TWILIO__ACCOUNT_SID": "AC1"}, "TWILIO__ACCOUNT_SID = 'AC1'"),
        ({"POSTGRES__USER": "x", "POSTGRES__AUTH__USER": "y"}, "POSTGRES__AUTH.*other name too"),
        ({"LIMITS__MESSAGE_BYTES": "900000", "LIMITS__BYTES_PER_S": "20000"}, "LIMITS__MESSAGE_BYTES must not be"),
        ({"SIP__RTP_PORT_RANGE_START": "30000"}, "SIP__RTP_PORT_RANGE_END must be over"),
    ],
)
def test_other_wrong_values(environ: dict[str, str], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        load_settings(environ)


def test_every_wrong_option_has_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({"HTTP__PORT": "x", "LOG_LEVEL": "loud", "LIMITS__MAX_CALLS": "-1", "REDIS__DB": "0"})
    lines = sorted(line.partition(" ")[0] for line in str(caught.value).splitlines())
    assert lines == ["HTTP__PORT", "LIMITS__MAX_CALLS", "LOG_LEVEL"]


# --- the file ----------------------------------------------------------------------------------------------------


def config_file(folder: Path, content: str) -> dict[str, str]:
    (folder / "callboard.yaml").write_text(content)
    return {"CALLBOARD_CONFIG": str(folder / "callboard.yaml")}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = config_file(tmp_path, "http: {host: 0.0.0.0, port: 1}\ncontext_ttl_s: 5\nextra_providers: [a, b]")
    settings = load_settings(environ | {"HTTP__PORT": "2"})
    assert (settings.http.host, settings.http.port, settings.context_ttl_s) == ("0.0.0.0", 2, 5)
    assert settings.extra_providers == ("a", "b")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("- a", "must hold a mapping"),
        ("a: [", "CALLBOARD_CONFIG"),
        ("htpp: {}", "unknown htpp"),
        ("_env_file: x", "unknown _env_file"),
        (
            "log_level: info\nlog_level: debug",
            "yaml':1: log_level: stands here twice, in line 1 and in line 2",
        ),
        ("http: &x {host: *x}", "an alias stands within what it stands for"),
        ("http: 5", "HTTP"),
        ("http: {prot: 5}", "HTTP__PROT: unknown option"),
        ("http: {port: [1]}", "HTTP__PORT"),
        ("http: {1: 2}", "HTTP"),
        ("1: 2", "unknown 1"),
        ("\x00", "CALLBOARD_CONFIG"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_settings(config_file(tmp_path, content))


def test_a_missing_file_is_told() -> None:
    with pytest.raises(ConfigError, match=r"CALLBOARD_CONFIG = '/nowhere.yaml': .*No such file"):
        load_settings({"CALLBOARD_CONFIG": "/nowhere.yaml"})


# --- what is shown -----------------------------------------------------------------------------------------------

SECRETS = ["POSTGRES__PASSWORD", "REDIS__PASSWORD", "TWILIO__AUTH_TOKEN"]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_masked(name: str) -> None:
    settings = load_settings({name: "geheim"})
    rows = {row.name: row for row in describe(settings)}
    assert (rows[name].value, rows[name].is_default) == ("********", False)
    assert "geheim" not in repr(settings) + str(rows)


@pytest.mark.parametrize("name", SECRETS)
def test_a_wrong_secret_is_not_shown(tmp_path: Path, name: str) -> None:
    group, option = name.lower().split("__")
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file(tmp_path, json.dumps({group: {option: ["geheim"]}})))
    assert name in str(caught.value) and "geheim" not in str(caught.value)


def test_describe_tells_defaults_from_choices() -> None:
    rows = {row.name: row for row in describe(load_settings({"HTTP__PORT": "1", "EXTRA_PROVIDERS": "a,b"}))}
    assert (rows["HTTP__PORT"].value, rows["HTTP__PORT"].is_default) == ("1", False)
    assert (rows["HTTP__HOST"].value, rows["HTTP__HOST"].is_default) == ("127.0.0.1", True)
    assert rows["EXTRA_PROVIDERS"].value == "a,b"
    assert all(row.description and row.legal for row in rows.values())


def test_the_page_is_the_definition() -> None:
    assert PAGE.read_text() == settings_page()


def test_the_page_of_limits_says_the_defaults() -> None:
    limits, page = Settings().limits, Path("docs/limits.md").read_text()
    for figure in (
        f"{limits.messages_per_s:g} a second, {limits.messages_per_s * limits.burst_s:,.0f} at once",
        f"{limits.bytes_per_s / 2**20:g} MiB a second, {limits.bytes_per_s * limits.burst_s / 2**20:g} MiB at once",
        f"{limits.message_bytes // 1024} KiB | close code 1009",
        f"{limits.keys_per_minute} a minute | are not heard",
        f"{limits.texts_per_minute} a minute | an `error-response`",
        f"{limits.questions_per_minute} a minute | are not asked",
        f"{limits.unknown_calls_per_minute} unknown calls a minute",
        f"{limits.question_characters:,} | its end",
        f"{limits.history_characters:,} | its last lines",
    ):
        assert figure in page, figure
    names = {f"LIMITS__{name.upper()}" for name in type(limits).model_fields}
    assert set(re.findall(r"LIMITS__[A-Z_]+", page)) <= names
