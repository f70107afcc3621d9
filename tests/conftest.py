"""Options of the test run: `--long` for the sweeps of minutes, `--peers` to demand PyTorch."""

import importlib.util
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("handgrad", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("handgrad")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the sweeps that take minutes")
    parser.addoption(
        "--peers", action="store_true", help="fail, rather than skip, when PyTorch is not installed"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--peers") and importlib.util.find_spec("torch") is None:
        raise pytest.UsageError("--peers needs PyTorch: pip install 'handgrad[peers]'")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="a long sweep: run with --long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell's background ignores SIGINT, and so would the processes that a test starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
