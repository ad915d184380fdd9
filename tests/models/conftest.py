import pytest
from drawn import draw_all


@pytest.fixture(scope="session")
def random_variables():
    """A function that draws variables, see `drawn`."""
    return draw_all
