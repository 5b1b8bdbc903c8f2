"""The table of who has the floor is complete, and names only what there is."""

from __future__ import annotations

import pytest

from actors.call.conversation import Conversation
from actors.call.floor import TABLE, Floor, Input


@pytest.mark.parametrize("floor", Floor)
def test_every_pair_is_listed_and_has_an_action(floor: Floor):
    assert set(TABLE[floor]) == set(Input)
    assert all(callable(getattr(Conversation, action, None)) for action in TABLE[floor].values())
