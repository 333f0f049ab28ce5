"""Every operator makes of the same numbers what it made before."""

from __future__ import annotations

import json

import pytest

from golden import DIGESTS, GROWTHS, digest

KNOWN = json.loads(DIGESTS.read_text())


@pytest.mark.parametrize("case", GROWTHS)
def test_an_operator_computes_what_it_did(case):
    assert digest(GROWTHS[case]()) == KNOWN[case]


def test_all_known_digests_are_checked():
    assert set(KNOWN) == set(GROWTHS)
