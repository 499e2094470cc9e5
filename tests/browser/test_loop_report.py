"""The page of a loop in a real browser: nothing runs over, nothing runs at all, names of any length."""

import pytest

from rdpt_ray.publish.loop_report import render_loop
from tests.publish.loop_run import loop, policy

pytestmark = pytest.mark.browser

LONG = "averyveryverylongpolicywithoutanyspace" * 8
HOSTILE = "</style><script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"


def test_it_is_read_without_scrolling_sideways_and_runs_nothing(open_page):
    policies = (*loop().policies, policy(LONG, (5, 6, 5)), policy(HOSTILE, (1, 2, 1)))
    facts = loop(name=HOSTILE, policies=policies, remarks=(LONG, HOSTILE), settings={LONG: HOSTILE})
    page = open_page(render_loop(facts))
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        outside = page.evaluate(
            """width => [...document.querySelectorAll("body *")]
                .filter(element => !element.closest(".scroll"))
                .filter(element => element.getBoundingClientRect().right > width + 0.5)
                .map(element => element.outerHTML.slice(0, 120))""",
            width,
        )
        assert outside == []
        rows = page.locator(".loop tbody tr").evaluate_all(
            "rows => Math.max(...rows.slice(0, 3).map(row => row.getBoundingClientRect().height))"
        )
        assert rows < 90, "a row of short names is broken over many lines"
    assert page.evaluate("window.pwned") is None
    assert page.locator("circle.seed").count() == 15
