"""`callboard providers`: who can hear, think and speak for an assistant, and whether they answer."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import ConfigError
from scripts.columns import columns
from scripts.command import FAILED, OK, add_command, add_json_flag
from scripts.output import console, print_json, printable
from scripts.storage import load_environment

if TYPE_CHECKING:
    from actors.errors import ProviderError
    from actors.media.audio import AudioFormat
    from actors.providers.registry import Registry
    from actors.providers.spec import Options, ProviderSpec
    from actors.providers.trial import Figures, TrialPlan
    from scripts.command import Commands

KINDS = ("stt", "llm", "tts")
MAX_TIMEOUT_S = 300.0

_EXAMPLES = """
callboard providers
callboard providers --json
callboard providers check embedded
DEEPGRAM_API_KEY=... callboard providers check deepgram
callboard providers check openai --option base_url=http://127.0.0.1:11434/v1 --option model=llama3.2 --timeout 60
callboard providers check cartesia --assistant assistants/my-desk.yaml --say 'good morning' --json
"""
_CHECKED = (
    "0 all answered    1 one did not: its reason and what to do    2 no key, or a wrong option    130 interrupted"
)

_LABELS = {
    "connect_ms": "connected after",
    "final_ms": "end of speech to final words",
    "end_of_turn_ms": "end of speech to end of turn",
    "first_token_ms": "question to first token",
    "first_clause_ms": "question to first clause",
    "answer_ms": "question to whole answer",
    "first_audio_ms": "text to first audio",
    "all_audio_ms": "text to all audio",
    "speech_ms": "length of the speech",
    "length_ms": "length of the audio",
    "realtime_factor": "realtime factor",
    "transcript": "heard",
    "answer": "answered",
}
_REMEDIES = {
    "retry": "try again; if it stays so, look at the network, the address and the service's status page",
    "throttled": "too much at once: wait, or have the account's limits raised",
    "quota": "the account has no credit left: add some",
}


def register(commands: Commands) -> None:
    list_ = add_command(
        commands, "providers", "list the providers; `check` holds a conversation with one", _EXAMPLES, list_providers
    )
    add_json_flag(list_)
    below = list_.add_subparsers(dest="providers_command", metavar="COMMAND")
    check = add_command(
        below, "check", "hold a conversation of one sentence with a provider, and measure it", _EXAMPLES, check_provider
    )
    check.epilog = f"{check.epilog}".rpartition("\n")[0] + f"\n  {_CHECKED}"
    check.add_argument("name", metavar="NAME", help="the provider, as `callboard providers` lists it")
    check.add_argument("--kind", choices=KINDS, help="only as this; else as all that it is")
    check.add_argument("--assistant", type=Path, metavar="FILE", help="use the options of this assistant's file")
    check.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the provider, above the file's"
    )
    check.add_argument("--say", metavar="TEXT", help="the sentence; else one that the assistant knows")
    check.add_argument(
        "--timeout", type=float, default=15.0, metavar="S", help="longest wait for an answer (%(default)g)"
    )
    # no default of its own, so that `providers --json check NAME` means it too
    check.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON instead of text")


# --- the list --------------------------------------------------------------------------------------------------------


def list_providers(args: argparse.Namespace) -> int:
    from actors.providers.registry import Registry

    specs = Registry(load_environment().extra_providers).list()
    if args.json:
        print_json([_record(spec) for spec in specs])
    else:
        head, *lines = columns(("name", "kind", "audio, kHz", "also", "key", ""), [_row(spec) for spec in specs])
        print(head)
        for line, spec in zip(lines, specs, strict=True):  # in 80 columns
            print(f"{line}\n  {spec.summary}")
    return OK


def _record(spec: ProviderSpec) -> dict[str, Any]:
    import os

    variable = getattr(spec.options, "key_variable", "")
    return {
        "name": spec.name,
        "kind": spec.kind,
        "summary": spec.summary,
        "formats": [{"encoding": audio.encoding.value, "rate": audio.rate} for audio in spec.formats],
        "word_times": spec.word_times,
        "ends_turns": spec.ends_turns,
        "key_variable": variable,
        "key_is_set": bool(variable and os.environ.get(variable, "").strip()),
        "options": sorted(spec.options.model_fields),
    }


def _row(spec: ProviderSpec) -> tuple[str, ...]:
    found = _record(spec)
    also = [title for title, has in (("word times", spec.word_times), ("ends turns", spec.ends_turns)) if has]
    key = found["key_variable"]
    is_set = ("set" if found["key_is_set"] else "not set") if key else ""
    return spec.name, spec.kind, _formats(spec.formats), ", ".join(also), key or "none needed", is_set


def _formats(formats: Iterable[AudioFormat]) -> str:
    """Such as "PCM 8-16, MULAW 8"."""
    rates: dict[str, list[float]] = {}
    for audio in formats:
        rates.setdefault(audio.encoding.name, []).append(audio.rate / 1000)
    return ", ".join(f"{name} {_range(found)}" for name, found in rates.items())


def _range(values: list[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{min(values):g}-{max(values):g}"


# --- the check -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Of one trial: figures, or an error."""

    plan: TrialPlan
    options: Options
    figures: Figures | None = None
    error: ProviderError | None = None


def check_provider(args: argparse.Namespace) -> int:
    import asyncio

    import uvloop

    from actors.providers.registry import Registry
    from scripts.assistant_file import read_assistant
    from scripts.trial_plan import plan_trials

    if not 0 < args.timeout <= MAX_TIMEOUT_S:
        raise ConfigError(f"--timeout {args.timeout:g}: legal: more than 0, at most {MAX_TIMEOUT_S:g} seconds")
    extra = load_environment().extra_providers
    registry = Registry(extra)
    assistant = read_assistant(args.assistant, extra) if args.assistant else None
    plans = plan_trials(registry, args.name, args.kind, assistant, args.option, args.say)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(_try_all(registry, plans, args))
    if args.json:
        print_json([_outcome_record(outcome) for outcome in outcomes])
    return FAILED if any(outcome.error for outcome in outcomes) else OK


async def _try_all(registry: Registry, plans: list[TrialPlan], args: argparse.Namespace) -> list[_Outcome]:
    from actors.engines.pool import close_engines

    outcomes = []
    try:
        for plan in plans:
            outcomes.append(await _try(registry, plan, args))
            if not args.json:
                _tell(outcomes[-1])
    finally:
        await close_engines()
    return outcomes


async def _try(registry: Registry, plan: TrialPlan, args: argparse.Namespace) -> _Outcome:
    from actors.errors import ProviderError
    from actors.providers.trial import try_provider

    options = registry.options(plan.kind, plan.choice)
    with _progress(plan, args) as on_wait:
        try:
            return _Outcome(plan, options, figures=await try_provider(registry, plan, args.timeout, on_wait))
        except ProviderError as error:
            return _Outcome(plan, options, error=error)


@contextmanager
def _progress(plan: TrialPlan, args: argparse.Namespace) -> Iterator[Callable[[str], None]]:
    """A line that moves on a terminal, and nothing anywhere else."""
    if args.json:
        yield lambda what: None
        return
    name = f"{plan.choice.provider} {plan.kind}"
    with console().status(f"{name} ...") as status:
        yield lambda what: status.update(f"{name}: waiting for {what}, at most {args.timeout:g} s ...")


def _tell(outcome: _Outcome) -> None:
    plan, where = outcome.plan, ", ".join(_where(outcome).values())
    verdict = "FAILS" if outcome.error else "ok"
    console().print(f"{plan.choice.provider} {plan.kind} {f'({where}) ' if where else ''}{verdict}", style="bold")
    for name, value in _facts(outcome):
        console().print(f"  {name:<28} {printable(value)}", markup=False)


def _facts(outcome: _Outcome) -> Iterator[tuple[str, str]]:
    if outcome.error:
        yield outcome.error.code, str(outcome.error)
        yield "what to do", _what_to_do(outcome, outcome.error)
    if outcome.figures:
        for field in fields(outcome.figures):
            value = getattr(outcome.figures, field.name)
            yield _LABELS[field.name], f"{value:.0f} ms" if field.name.endswith("_ms") else f"{value}"


def _outcome_record(outcome: _Outcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "provider": outcome.plan.choice.provider,
        "kind": outcome.plan.kind,
        **_where(outcome),
        "sentence": outcome.plan.sentence,
        "ok": error is None,
        "figures": outcome.figures,
        "error": error and {"code": error.code, "text": str(error), "what_to_do": _what_to_do(outcome, error)},
    }


def _where(outcome: _Outcome) -> dict[str, str]:
    """Which of a provider's models was tried, and at which address."""
    found = {name: getattr(outcome.options, name, "") for name in ("model", "base_url")}
    return {name: value for name, value in found.items() if value}


def _what_to_do(outcome: _Outcome, error: ProviderError) -> str:
    from actors.errors import Remedy

    if error.remedy is not Remedy.CONFIG:
        return _REMEDIES[error.remedy.value]
    key = getattr(outcome.options, "api_key", "") or getattr(outcome.options, "key_variable", "")
    return f"check {f'the key in {key}, ' if key else ''}the model and the other options"
