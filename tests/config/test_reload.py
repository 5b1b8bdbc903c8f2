"""What a running node takes of other settings."""

from __future__ import annotations

from config.options import options
from config.reload import change, is_reloaded
from config.settings import Settings, load_settings


def test_what_can_change_does_and_the_rest_is_named() -> None:
    before = load_settings({"HTTP__PORT": "0"})
    running = before.model_copy(update={"http": before.http.model_copy(update={"port": 4711})})
    after = load_settings(
        {"HTTP__PORT": "0", "HTTP__HOST_NAMES": "a.example", "LIMITS__MAX_CALLS": "7", "NODE__CONTROL_PORT": "1900"}
    )
    done = change(running, before, after)
    assert done.settings.http.port == 4711
    assert done.settings.http.host_names == ("a.example",)
    assert done.settings.limits.max_calls == 7
    assert done.settings.node.control_port == 0
    assert done.taken == ("HTTP__HOST_NAMES = 'a.example', was ''", "LIMITS__MAX_CALLS = '7', was '400'")
    assert done.refused == ("NODE__CONTROL_PORT needs a restart",)


def test_nothing_changes_where_nothing_is_new() -> None:
    settings = load_settings({})
    done = change(settings, settings, load_settings({}))
    assert (done.settings, done.taken, done.refused) == (settings, (), ())


def test_a_secret_is_not_told() -> None:
    done = change(Settings(), Settings(), load_settings({"TWILIO__AUTH_TOKEN": "very-secret"}))
    assert done.settings.twilio.auth_token.get_secret_value() == "very-secret"
    assert "very-secret" not in "".join(done.taken)


def test_the_manual_names_what_is_reloaded() -> None:
    with open("docs/operations.md", encoding="utf-8") as file:
        page = file.read()
    for option in options(Settings):
        group = f"`{option.name.partition('__')[0]}__*`"
        assert (f"`{option.name}`" in page or group in page) or not is_reloaded(option), option.name
