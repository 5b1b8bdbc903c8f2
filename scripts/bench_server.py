"""One worker in this process, without a node, or a node of several: assistant 1 hears with Deepgram, thinks with an
OpenAI-compatible model and speaks with Cartesia, all three at one address. Anybody may call it; it keeps nothing."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from actors.node.keeper import NodeFailed
from config.assistant import AssistantConfig
from config.errors import BadInput
from config.logging import configure
from config.settings import Settings, load_settings
from scripts.serving import serve_alone, serve_node, settled
from scripts.storage import open_database
from store.assistants import AssistantRepository

HOST = "127.0.0.1"
WRONG_USAGE, FAILED = 2, 1


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench-server", description=__doc__)
    parser.add_argument("--providers", required=True, type=_address, metavar="HOST:PORT", help="where all three are")
    parser.add_argument("--port", type=int, default=9007, help="HTTP and WebSocket (%(default)s)")
    parser.add_argument("--audiosocket-port", type=int, default=4573, help="AudioSocket (%(default)s)")
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="a node of so many workers; 0: one, in this process"
    )
    parser.add_argument("--log-level", default="warning", help="least serious message that is shown (%(default)s)")
    return parser.parse_args()


def _address(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+:\d{1,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text


def assistant(providers: str) -> AssistantConfig:
    """Without a greeting: the caller begins. The recognizer ends the turns; our own silence is only the fallback."""
    speech = {"base_url": f"ws://{providers}"}
    return AssistantConfig.model_validate({
        "name": "bench",
        "system_prompt": "You are a helpful voice assistant on a phone line. Answer briefly.",
        "idle": {"timeout_s": 600},
        "stt": {"provider": "deepgram", "endpointing_ms": 100, **speech},
        "llm": {"provider": "openai", "base_url": f"http://{providers}/v1"},
        "tts": {"provider": "cartesia", **speech},
    })  # fmt: skip


def settings(args: argparse.Namespace, data_dir: Path) -> Settings:
    values: dict[str, Any] = {
        "DATA_DIR": data_dir,
        "HTTP__HOST": HOST,
        "HTTP__PORT": args.port,
        "AUDIOSOCKET__HOST": HOST,
        "AUDIOSOCKET__PORT": args.audiosocket_port,
        "AUDIOSOCKET__MAX_CONNECTIONS_PER_PEER": 2000,
        "LIMITS__MAX_CALLS": 2000,
        "AUTH__MODE": "open",
        "NODE__DRAIN_S": 0,
        "NODE__CONTROL_PORT": 0,
        "OPERATOR__PORT": 0,
        "LOG_LEVEL": args.log_level,
    }
    return load_settings({name: str(value) for name, value in values.items()})


def main() -> int:
    args = options()
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
        try:
            chosen = settings(args, Path(folder))
        except BadInput as error:
            print(error, file=sys.stderr)
            return WRONG_USAGE
        configure(chosen.log_level, chosen.log_format)
        with open_database(chosen) as database:
            AssistantRepository(database).apply(assistant(args.providers))
        try:
            with settled(chosen) as chosen:
                _serve(chosen, args.workers)
        except (OSError, NodeFailed) as error:
            print(f"cannot serve: {error}", file=sys.stderr)
            return FAILED
    return 0


def _serve(chosen: Settings, workers: int) -> None:
    def announce(ports: dict[str, int]) -> None:
        print(f"listening: {ports}", flush=True)

    if workers:
        serve_node(chosen, workers, announce, until_eof=False)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_alone(chosen, announce, until_eof=False))


if __name__ == "__main__":
    sys.exit(main())
