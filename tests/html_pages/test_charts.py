"""Charts: where things lie, what is read, and that it can be read."""

import re
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup

import deeplab_tf.html_pages
from deeplab_tf.html_pages import charts
from deeplab_tf.html_pages.charts import Axis, Series

STYLE = (Path(deeplab_tf.html_pages.__file__).parent / "style.css").read_text()


def themes():
    """Colors of the light, dark and printed page."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    return [dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in blocks]


def rgb(color):
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], float)


def luminance(color):
    """WCAG 2.1, relative luminance of sRGB in 0...255."""
    share = np.asarray(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=("light", "dark", "print"))
def test_all_text_has_a_contrast_of_4_5(theme):
    for name in ("text", "quiet", "good", "bad", "doubt", "strong"):
        for ground in ("ground", "card"):
            assert contrast(rgb(theme[name]), rgb(theme[ground])) >= 4.5, name


@pytest.mark.parametrize("theme", themes(), ids=("light", "dark", "print"))
def test_numbers_in_a_heat_map_have_a_contrast_of_4_5_at_every_shade(theme):
    for kind in ("right", "wrong"):
        for percent in range(1, 101):
            counts = np.array([[percent, 100 - percent], [0, 1]])
            if kind == "wrong":
                counts = counts[:, ::-1]
            cells = str(charts.heat_map(counts, ["a", "b"], label="x"))
            shade = float(
                re.search(f'class="{kind}".*?fill-opacity="([^"]+)"', cells)[1]
            )
            letters = re.findall(r'<text class="(low|high)"[^>]*>(\d+)</text>', cells)
            by_number = {number: name for name, number in reversed(letters)}
            name = by_number[f"{percent:.0f}"]
            cell = rgb(theme["card"]) * (1 - shade) + rgb(theme[kind]) * shade
            assert contrast(rgb(theme[name]), cell) >= 4.5, (kind, percent)


def test_a_heat_map_has_a_cell_for_each_share_that_is_seen():
    counts = np.array([[900, 96, 4], [0, 0, 0], [50, 0, 50]])
    drawn = str(charts.heat_map(counts, ["cat", "dog", "cow"], label="all"))
    titles = re.findall(r"<title>(.*?)</title>", drawn)
    assert titles == [
        "cat is right: 90.0 % (900 pixels)",
        "cat taken for dog: 9.6 % (96 pixels)",
        "cow taken for cat: 50.0 % (50 pixels)",
        "cow is right: 50.0 % (50 pixels)",
    ]
    assert drawn.count('class="absent"') == 1
    assert 'aria-label="all"' in drawn


def test_a_heat_map_of_many_classes_stays_small():
    names = [f"class {i}" for i in range(151)]
    counts = np.random.default_rng(0).integers(0, 10, (151, 151)) + 900 * np.eye(
        151, dtype=int
    )
    drawn = str(charts.heat_map(counts, names, label="all"))
    assert len(drawn) < 1_500_000
    assert 'width="9"' not in drawn
    side = int(re.search(r'width="(\d+)" height="\d+" role', drawn)[1])
    assert 1300 < side < 1500


def test_a_name_is_text_and_shown_in_one_line():
    drawn = str(
        charts.heat_map(np.eye(2, dtype=int), ["<b>&\n", "x" * 99], label='"<i>')
    )
    assert "<b>" not in drawn
    assert r"&lt;b&gt;&amp;\n" in drawn
    assert "x" * 29 not in drawn
    assert 'aria-label="&#34;&lt;i&gt;"' in drawn


def test_points_lie_where_the_axes_say():
    line = Series(name="a", points=[(0, 0), (0.5, 0.25), (1, 1)], weights=[1, 0, 0.25])
    drawn = str(charts.line_chart([line], Axis(title="x"), Axis(title="y"), label="c"))
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', drawn)
    (left, bottom, large), (middle, lower, small), (right, top, half) = (
        map(float, place) for place in places
    )
    assert middle == pytest.approx((left + right) / 2)
    assert lower == pytest.approx(bottom + (top - bottom) / 4)
    assert (large, half, small) == (11, 6.5, 2)
    assert "a: 50 %, 25 %" in drawn


def test_what_is_no_number_is_left_out():
    line = Series(name="a", points=[(0, float("nan")), (1, 0.5)])
    drawn = str(charts.line_chart([line], Axis(title="x"), Axis(title="y"), label="c"))
    assert drawn.count("<circle") == 1
    assert "nan" not in drawn


def test_bars_of_a_histogram_are_as_high_as_their_counts():
    drawn = str(charts.histogram([0, 3, 6], Axis(title="x"), label="c", what="images"))
    heights = [float(h) for h in re.findall(r'class="bar".*? height="([\d.]+)"', drawn)]
    assert len(heights) == 2
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.11)
    assert "33 % to 67 %: 3 images" in drawn


def test_a_bar_shows_value_and_interval():
    drawn = str(charts.interval_bar(0.5, (0.25, 0.75), width=102))
    assert 'class="bar" width="51"' in drawn
    assert 'd="M26 7H76' in drawn
    empty = str(charts.interval_bar(None, None))
    assert "bar" not in empty
    assert "whisker" not in empty


def test_a_file_has_charts_below_and_beside_each_other():
    drawn = [(f"chart {i}", Markup(f"<g id='{i}'/>")) for i in range(5)]
    for columns, size in ((1, "300 1150"), (3, "900 460")):
        text = charts.to_file(drawn, (300, 200), columns=columns)
        assert f'viewBox="0 0 {size}"' in text
        places = re.findall(r'<svg(?: x="(\d+)")? y="(\d+)" width="300"', text)
        expected = [(300 * (i % columns), 230 * (i // columns) + 30) for i in range(5)]
        assert [(int(x or 0), int(y)) for x, y in places] == expected
