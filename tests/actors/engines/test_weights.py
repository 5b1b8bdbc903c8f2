"""The weights as they are shipped, and as they are prepared: the same numbers, whole or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from actors.engines import weights
from actors.engines.free_speech import doubled
from actors.engines.hints import plain
from actors.engines.moonshine import Moonshine
from actors.engines.process import ROOT
from actors.engines.weights import MANIFEST, WeightsUnusable
from tests.actors.providers.test_free_stt import beginning

pytest.importorskip("onnxruntime")
PREPARE = [sys.executable, "-m", "actors.engines.weights"]
NEW_HOME = """
import sys
from pathlib import Path
from actors.engines import weights
sys.prefix = sys.argv[1]
code = weights.main()
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which they were prepared, with little memory."""
    prefix = tmp_path_factory.mktemp("prefix")
    done = prepare(prefix)
    assert (done.returncode, done.stderr) == (0, "Preparing the recognizer's weights ...\n")
    assert int(done.stdout) << 10 < weights.NEEDED_BYTES
    return prefix


def prepare(prefix: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", NEW_HOME, str(prefix)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_is_prepared_is_not_prepared_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(place))
    before = (weights.prepared() / MANIFEST).stat().st_mtime_ns
    assert prepare(place).stderr == ""
    assert (weights.prepared() / MANIFEST).stat().st_mtime_ns == before
    assert [path.name for path in weights.home().parent.iterdir()] == [weights.home().name], "nothing is left over"


@pytest.mark.parametrize("name", [weights.DECODER, MANIFEST])
def test_what_is_damaged_is_noticed_and_mended(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    broken = weights.home() / name
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(WeightsUnusable, match=r"actors\.engines\.weights"):
        weights.prepared()
    assert prepare(tmp_path).returncode == 0
    assert weights.prepared() == weights.home()


def test_an_interruption_leaves_nothing_that_counts(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", NEW_HOME, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE)
    assert process.stderr is not None and process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == b""
    assert process.wait() == 130
    assert list((tmp_path / "share" / "callboard").iterdir()) == []


def test_what_a_killed_one_left_is_removed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    old, young = (weights.home().parent / f"{weights.home().name}.part-{name}" for name in ("old", "young"))
    for left in (old, young):
        left.mkdir(parents=True)
    os.utime(old, (0, 0))
    weights.prepare()
    assert not old.exists() and young.exists() and weights.prepared()


def test_other_files_under_the_same_names_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / weights.PACKAGE / "models" / "base-en"
    folder.mkdir(parents=True)
    (tmp_path / weights.PACKAGE / "__init__.py").touch()
    for name in weights.SHIPPED:
        (folder / name).write_bytes(b"other")
    monkeypatch.delitem(sys.modules, weights.PACKAGE, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WeightsUnusable, match=r"encoder_model.ort: not the file that it was .*moonshine-cpp==0.1.4"):
        weights.shipped()


def test_without_memory_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "memory.max").write_text("600000000\n")
    (tmp_path / "memory.current").write_text("100000000\n")
    monkeypatch.setattr(weights, "CGROUP", tmp_path)
    assert weights.main() == 1
    assert capsys.readouterr().err == "\nNot prepared: 476 MB of memory are free, and 700 MB are needed\n"
    assert not weights.home().parent.exists()


@pytest.mark.parametrize("kind", ["as this CPU wants", "of the other sign", "shipped"])
def test_signed_unsigned_or_shipped_they_hear_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Those of a CPU without VNNI are another graph, which this one runs as well."""
    monkeypatch.setattr(sys, "prefix", str(place if kind == "as this CPU wants" else tmp_path))
    if kind == "of the other sign":
        other = not weights.unsigned()
        monkeypatch.setattr(weights, "unsigned", lambda: other)
        weights.prepare()
    model = Moonshine()
    for _ in model.load():
        assert not model.ready
    sound = np.frombuffer(beginning(), "<i2").astype(np.float32) / np.float32(32768)
    *_, result = model.say(model.hear(doubled(sound)), len(sound) / 8000)
    assert result is not None and plain(result.text) == "ever tried ever failed"
    heard = model.hear(doubled(sound))
    total, mean = model.score(heard, result.text)
    assert mean == pytest.approx(result.confidence, abs=0.03)
    assert model.score(heard, result.text.replace("tried", "cried"))[0] < total - 3
