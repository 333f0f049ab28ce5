"""Bad input gets one clear message: the cases stand in ``bad_inputs_<topic>.py``."""

from __future__ import annotations

import re

import pytest

from bad_inputs import told, topics

CASES = [(topic, case) for topic, cases in topics().items() for case in cases]


@pytest.mark.parametrize(
    "case", [case for _, case in CASES], ids=[f"{topic}: {case.given}" for topic, case in CASES]
)
def test_it_is_told_clearly(case, tmp_path):
    message = told(case, tmp_path)
    assert re.search(case.message, message), message
    assert "Traceback" not in message
