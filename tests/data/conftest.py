"""The digits, opened once for all tests."""

import pytest

from diffjax.data import images


@pytest.fixture(scope="session")
def digits(digits_dir):
    return images.digits(data_dir=digits_dir)
