"""Theorems are proved in float64; a clause for float32 leaves x64 by itself."""

import pytest


@pytest.fixture(autouse=True)
def _float64(x64):
    yield
