"""Actor classes loaded from source archives (Thespian's loadActorSource), as the source authority permits."""

from __future__ import annotations

import hashlib
import io
import logging
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thespian.actors import InvalidActorSourceHash, LoadedSource, UnloadedSource, ValidatedSource, ValidateSource
from thespian.system.sourceLoader import SourceHashFinder, loadModuleFromHashSource

if TYPE_CHECKING:
    from actors.loop.address import LoopAddress
    from actors.loop.base import LoopBase

log = logging.getLogger(__name__)

VALIDATION_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Source:
    """One archive; `zipsrc` stays None until the authority has validated it. Names are those Thespian reads."""

    srcInfo: str
    zipsrc: bytes | None = None
    decided: threading.Event = field(default_factory=threading.Event)

    @property
    def source_valid(self) -> bool:
        return self.zipsrc is not None


class Sources:
    """All archives of one system, by their MD5 hash."""

    def __init__(self, base: LoopBase) -> None:
        self._base = base
        self._watchers: list[LoopAddress] = []
        self.authority: LoopAddress | None = None
        self.archives: dict[str, Source] = {}

    def offer(self, source: Any) -> str:
        """A file's name or a file object: its hash. Without an authority the archive is ignored, as in Thespian."""
        with source if isinstance(source, io.IOBase) else open(source, "rb") as file:
            data = file.read()
        source_hash = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if self.authority is not None and source_hash not in self.archives:
            info = str(getattr(source, "name", source))
            self.archives[source_hash] = Source(info)
            message = ValidateSource(source_hash, data, info)
            self._base.deliver(self.authority, message, self._base.system_address)
        return source_hash

    def decide(self, message: ValidatedSource) -> None:
        """The authority's answer."""
        source = self.archives.get(message.sourceHash)
        if source is None:
            return
        if message.sourceZip and _readable(message.sourceHash, message.sourceZip):
            source.zipsrc = message.sourceZip
            for watcher in self._watchers:
                self._tell(watcher, LoadedSource(message.sourceHash, source.srcInfo))
        else:
            self.reject(message.sourceHash)
        source.decided.set()

    def reject(self, source_hash: str) -> None:
        source = self.archives.pop(source_hash, None)
        if source is not None:
            source.decided.set()

    def wait(self, source_hash: str) -> None:
        """From another thread: until the authority has answered about an archive that was just loaded."""
        source = self.archives.get(source_hash)
        if source is not None:
            source.decided.wait(VALIDATION_TIMEOUT_S)

    def unload(self, source_hash: str) -> None:
        source = self.archives.pop(source_hash, None)
        if source is None:
            return
        for watcher in self._watchers:
            self._tell(watcher, UnloadedSource(source_hash, source.srcInfo))
        for finder in [f for f in sys.meta_path if getattr(f, "srcHash", None) == source_hash]:
            sys.meta_path.remove(finder)
            root = SourceHashFinder.hashRoot(finder)
            for name in [m for m in sys.modules if m.startswith(root)]:
                del sys.modules[name]

    def notify(self, watcher: LoopAddress, enable: bool) -> None:
        """Tell `watcher` what is loaded now and what will be loaded and unloaded later, or stop that."""
        self.forget(watcher)
        if enable:
            self._watchers.append(watcher)
            for source_hash, source in self.archives.items():
                if source.source_valid:
                    self._tell(watcher, LoadedSource(source_hash, source.srcInfo))

    def forget(self, actor: LoopAddress) -> None:
        self._watchers = [w for w in self._watchers if w != actor]

    def load_class(self, source_hash: str, module: str, name: str) -> Any:
        """Raises InvalidActorSourceHash unless the archive is loaded and validated."""
        source = self.archives.get(source_hash)
        if source is None or not source.source_valid:
            raise InvalidActorSourceHash(source_hash)
        return loadModuleFromHashSource(source_hash, self.archives, module, name)

    def close(self) -> None:
        self._watchers.clear()
        for source_hash in list(self.archives):
            self.unload(source_hash)

    def _tell(self, watcher: LoopAddress, message: Any) -> None:
        self._base.deliver(watcher, message, self._base.system_address)


def _readable(source_hash: str, archive: bytes) -> bool:
    try:
        SourceHashFinder(source_hash, lambda data: data, archive).getZipNames()
    except Exception as error:  # whatever zipfile finds wrong with it
        log.error("validated source %s cannot be read: %s", source_hash, error)
        return False
    return True
