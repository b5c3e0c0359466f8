"""Which cases of a long test wait for the night; `make test-all` runs all."""

import pytest


def mark_nightly(cases, *, by_day):
    """The cases of a `parametrize`; by day, those numbered `by_day` alone.

    For tests of many cases of one kind, each of which builds a network.
    """
    cases = list(cases)
    assert set(by_day) <= set(range(len(cases)))
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if number in by_day else pytest.mark.nightly,
        )
        for number, case in enumerate(cases)
    ]
