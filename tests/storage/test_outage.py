from __future__ import annotations

import pytest

from wdstudy.errors import StorageError
from wdstudy.storage.outage import Outage, cause_of


def test_an_outage_after_one_that_was_given_up_is_told_as_well() -> None:
    def gone() -> None:
        raise OSError("no space left")

    said: list[str] = []
    outage = Outage("sqlite:///wd.db", said.append)
    for _ in range(2):
        with pytest.raises(StorageError, match="was out of reach for 0 s"):
            outage.outlast(gone, 0.1, cause_of)
    assert ["is out of reach" in line for line in said] == [True, True]
