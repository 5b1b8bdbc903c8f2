"""The keys that the caller presses in one go. They may be a PIN: a language model is told which, all else how many."""

from __future__ import annotations

from actors.call.floor import Input
from actors.call.scene import Scene
from actors.wording import Digits
from config.assistant import Keypad


class Keys:
    """Those that have not been asked about. They are open until the end key, or until `pause_ms` after the last one;
    then the floor is told."""

    def __init__(self, scene: Scene, config: Keypad) -> None:
        self._scene, self._config = scene, config
        self._keys = Digits()
        self.open = False  # more may come
        self.began_s = self.last_s = 0.0  # of these keys or the last ones, on the conversation's clock

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def is_end(self, key: Digits) -> bool:
        return bool(self._config.end_key) and key == Digits(self._config.end_key)

    def press(self, key: Digits) -> None:
        """The end key by itself is a key like any other."""
        now = self.last_s = self._scene.now
        if self._keys and self.is_end(key):
            self.close()
            self._scene.feed(Input.KEYS_OVER)
            return
        if not self._keys:
            self.began_s = now
        self._keys += key
        self.open = True
        self._scene.set_timer("keys", self._config.pause_ms / 1000)

    def close(self) -> None:
        """No more is to be expected."""
        if self.open:
            self.open = False
            self._scene.cancel_timer("keys")

    def take(self) -> Digits:
        """All of them, which are forgotten here."""
        self.close()
        keys, self._keys = self._keys, Digits()
        return keys
