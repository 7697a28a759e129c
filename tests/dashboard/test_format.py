"""Numbers on axes and legends: never too wide, never zero when they are not."""

from hypothesis import given
from hypothesis import strategies as st

from poise_tui.format import compact

SIZES = st.floats(min_value=1e-98, max_value=1e98)


@given(SIZES | SIZES.map(lambda x: -x) | st.just(0.0))
def test_a_number_of_any_size_keeps_its_sign_and_size_in_few_characters(value: float) -> None:
    shown = compact(value)
    assert len(shown) <= 8
    assert abs(float(shown) - value) <= 0.06 * abs(value)


def test_small_metrics_are_not_shown_as_zero() -> None:
    assert [compact(v) for v in (0.0042, 0.099, 0.52, 12.34, 1234.5)] == ["0.0042", "0.099", "0.52", "12.3", "1234"]
