"""What is served of `out/`, and what is not."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.types import ASGIApp

from churn_assets.server.published_pages import PublishedPages

if TYPE_CHECKING:
    from tests.churn_assets.server.conftest import Server


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "out"
    (folder / "shop" / "lists").mkdir(parents=True)
    (folder / "shop" / "report.html").write_text("<p>report")
    (folder / "shop" / "lists" / "2025-09.csv").write_text("id\n1\n")
    (folder / "shop" / "lists" / "2025-09.html").write_text("<p>summary")
    (folder / "shop" / "shadows").mkdir()
    (folder / "shop" / "shadows" / "2025-09.csv").write_text("id\n")
    return folder


@pytest.fixture
def pages(out: Path, serve: "Callable[[ASGIApp], Server]") -> "Server":
    return serve(PublishedPages(out))


def test_a_page_opens_and_its_scripts_are_kept_from_the_ui_beside_it(pages: "Server") -> None:
    page = pages.request("GET", "/out/shop/report.html")
    assert (page.status, page.text) == (200, "<p>report")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert pages.request("GET", "/out/shop/lists/2025-09.html").text == "<p>summary"


def test_a_list_is_downloaded_under_a_name_that_says_what_it_is(pages: "Server") -> None:
    found = pages.request("GET", "/out/shop/lists/2025-09.csv")
    assert found.text == "id\n1\n"
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert found.headers["content-disposition"] == 'attachment; filename="shop-2025-09.csv"'
    other = pages.request("GET", "/out/shop/shadows/2025-09.csv")
    assert other.headers["content-disposition"] == 'attachment; filename="shop-shadow-2025-09.csv"'
    assert pages.request("HEAD", "/out/shop/lists/2025-09.csv").headers["content-length"] == "5"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "shop",
        "shop/",
        "shop/lists/",
        "shop/notes.txt",
        "shop/.hidden.html",
        "shop/lists/.html",
        "shop/shadows/2025-09.html",
        "shop/gone.html",
        "../secret.html",
        "%2e%2e/secret.html",
        "shop/..%2f..%2fsecret.html",
        "shop/lists/..%2freport.html",
        "shop//report.html",
        "shop/report.html%00",
        "shop/report.html/",
        "SHOP/report.html",
        "linked/report.html",
        "shop/linked.html",
        "shop/folder.html",
        "shop/pipe.html",
        "shop/linked/2025-09.csv",
    ],
)
def test_nothing_else_is_served(pages: "Server", out: Path, path: str) -> None:
    secret = out.parent / "secret.html"
    secret.write_text("secret")
    (out / "secret.html").write_text("secret")
    (out / "shop" / "notes.txt").write_text("secret")
    (out / "shop" / ".hidden.html").write_text("secret")
    (out / "linked").symlink_to(out / "shop")
    (out / "shop" / "linked.html").symlink_to(secret)
    (out / "shop" / "linked").symlink_to(out / "shop" / "lists")
    (out / "shop" / "folder.html").mkdir()
    os.mkfifo(out / "shop" / "pipe.html")
    response = pages.request("GET", f"/out/{path}")
    assert response.status == 404
    assert "secret" not in response.text


def test_nothing_is_written(pages: "Server") -> None:
    assert {pages.request(method, "/out/shop/report.html").status for method in ("POST", "PUT", "DELETE")} == {405}
