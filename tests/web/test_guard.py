"""Who may ask: hosts, other pages, tokens, and headers of answers."""

import pytest

from tests.web.serving import LOCAL, Page, encode, halves

pytest.importorskip("starlette", reason="the extra [web] is not installed")

TOKEN = "a-token-of-tests-0123"
FAR = "http://192.168.1.5:8000"
COOKIE = {"cookie": f"deeplab_web_8000={TOKEN}"}


@pytest.fixture(scope="module")
def page():
    return Page()


@pytest.fixture(scope="module")
def locked():
    return Page(token=TOKEN, base=FAR)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "localhost", "[::1]:8000"]
)
def test_this_machine_is_answered(page, host):
    assert page.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example:8000", "127.0.0.1.evil.example", "192.168.1.5:8000", "", "[:"],
)
def test_a_name_that_others_let_point_here_is_not(page, host):
    """DNS rebinding."""
    response = page.get("/", headers={"host": host})
    assert response.status_code == 421
    assert "127.0.0.1 and localhost alone" in response.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ],
)
def test_another_page_may_not_send_photographs(page, headers):
    response = page.send(encode(halves()), headers=headers)
    assert response.status_code == 403
    assert not page.model.asked


def test_the_page_itself_may_and_links_lead_to_it(page):
    own = {"origin": LOCAL, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert page.send(encode(halves()), headers=own).status_code == 200
    page.model.asked.clear()
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert page.get("/", headers=link).status_code == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/model", "/nothing"])
def test_answers_forbid_what_the_page_does_not_need(page, path):
    headers = page.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_without_the_token_nothing_is_open(locked):
    page = locked.get("/")
    assert page.status_code == 401
    assert "A token is needed" in page.text
    for path in ("/model", "/page.js", "/nothing", "/?token=", "/model?token=" + TOKEN):
        assert locked.get(path).status_code == 401
    assert locked.send(encode(halves())).status_code == 401
    assert locked.get("/page.css").status_code == 200  # Of the page that says so.
    assert not locked.model.asked


def test_the_token_goes_from_the_address_into_a_cookie(locked):
    response = locked.get(f"/?token={TOKEN}")
    assert response.status_code == 303
    assert response.headers["location"] == "/"
    cookie = response.headers["set-cookie"].lower()
    assert cookie.startswith(f"deeplab_web_8000={TOKEN};")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert locked.get("/", headers=COOKIE).status_code == 200
    assert locked.send(encode(halves()), headers=COOKIE).status_code == 200


@pytest.mark.parametrize(
    "given", ["wrong", TOKEN[:-1], f"{TOKEN}x", "ä", TOKEN.upper()]
)
def test_another_token_opens_nothing(locked, given):
    response = locked.get("/", params={"token": given})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers
    header = {"authorization": f"Bearer {given}".encode()}
    assert locked.get("/model", headers=header).status_code == 401


def test_programs_send_the_token_as_a_header(locked):
    header = {"authorization": f"Bearer {TOKEN}"}
    assert locked.get("/model", headers=header).status_code == 200
    assert locked.send(encode(halves()), headers=header).status_code == 200


def test_a_token_with_spaces_and_signs_comes_back_from_the_cookie():
    token = 'correct "horse"; battery, staple'
    page = Page(token=token, base=FAR)
    cookie = page.get("/", params={"token": token}).headers["set-cookie"]
    value = cookie[: cookie.index("; HttpOnly")]
    assert page.get("/model", headers={"cookie": value}).status_code == 200


def test_other_pages_are_kept_out_with_a_token_as_well(locked):
    headers = COOKIE | {"origin": "http://evil.example"}
    assert locked.send(encode(halves()), headers=headers).status_code == 403
