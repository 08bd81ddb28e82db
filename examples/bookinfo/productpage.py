"""The page of a book: what details and reviews say of it, for a browser; and the same as JSON."""

import os
from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service import Answer, Request, as_json, asked, serve

POD = os.environ.get("POD_NAME", "")
STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --soft: #667; --line: #d9dce3; --card: #fff; --page: #f3f4f7 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e9ee; --soft: #9aa; --line: #353a47; --card: #1d212b; --page: #14171e }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.6 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.5rem }
h1 { font: 600 2.2rem/1.2 Georgia, serif; margin: 0 }
h2 { font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; color: var(--soft); margin: 0 0 1rem }
.by { color: var(--soft); margin: .3rem 0 2rem }
.columns { display: grid; grid-template-columns: 1fr 2fr; gap: 1.5rem }
@media (max-width: 44rem) { .columns { grid-template-columns: 1fr } }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.5rem }
dl { display: grid; grid-template-columns: auto 1fr; gap: .3rem 1rem; margin: 0 }
dt { color: var(--soft) } dd { margin: 0 }
blockquote { margin: 0 0 1.2rem; padding-left: 1rem; border-left: 3px solid var(--line) }
blockquote footer { color: var(--soft); font-size: .9rem }
.stars { font-size: 1.2rem; letter-spacing: .1em } .black { color: var(--ink) } .red { color: #d62c3a }
.none { color: var(--soft); font-size: .9rem }
.served { display: flex; gap: .6rem; align-items: center; margin-top: 1rem; font-size: .9rem; color: var(--soft) }
.version { font-weight: 600; padding: .1rem .7rem; border-radius: 99px; color: #fff; background: #5a6275 }
.v2 { background: #1f2430 } .v3 { background: #d62c3a } .error { color: #d62c3a }
"""


def answer(request: Request) -> Answer:
    """The page at /productpage (and /), its parts as JSON under /api/v1/products/0."""
    path = urlsplit(request.path).path
    if path == "/health":
        return as_json({"status": "healthy"})
    with ThreadPoolExecutor(2) as both:
        details = both.submit(asked, "http://details:9080/details/0", request)
        reviews = both.submit(asked, "http://reviews:9080/reviews/0", request)
    if path.startswith("/api/"):
        status, said = reviews.result()
        return as_json({"details": details.result()[1], "reviews": said, "podname": POD}, status)
    if path not in {"/", "/productpage"}:
        return as_json({"error": "no such page"}, 404)
    user = parse_qs(urlsplit(request.path).query).get("u", [""])[0]
    return Answer(page(*details.result(), *reviews.result(), user).encode(), 200, "text/html; charset=utf-8")


def page(details_status: int, details: Any, reviews_status: int, reviews: Any, user: str) -> str:
    """The whole document."""
    title = details.get("title", "A book") if details_status == 200 else "A book"
    by = details.get("author", "") if details_status == 200 else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><main><h1>{escape(title)}</h1><p class="by">{escape(by)}{f" · for {escape(user)}" if user else ""}</p>
<div class="columns"><section><h2>Details</h2>{_details(details_status, details)}</section>
<section><h2>Reviews</h2>{_reviews(reviews_status, reviews)}</section></div></main></body></html>"""


def _details(status: int, details: Any) -> str:
    if status != 200:
        return f'<p class="error">Details are not available ({status}).</p>'
    rows = "".join(
        f"<dt>{escape(name.capitalize())}</dt><dd>{escape(str(details[name]))}</dd>"
        for name in ("type", "pages", "publisher", "language", "year")
        if name in details
    )
    return f"<dl>{rows}</dl>"


def _reviews(status: int, reviews: Any) -> str:
    if status != 200:
        return f'<p class="error">Reviews are not available ({status}).</p>'
    quotes = "".join(
        f"<blockquote>{escape(one['text'])}<footer>{escape(one['reviewer'])} {_stars(one)}</footer></blockquote>"
        for one in reviews["reviews"]
    )
    version = escape(reviews["version"])
    return (
        f'{quotes}<div class="served">served by <span class="version {version}">reviews {version}</span>'
        f"{escape(reviews['podname'])}</div>"
    )


def _stars(review: Any) -> str:
    rating = review.get("rating")
    if rating is None:
        return ""
    if "stars" not in rating:
        return f'<span class="none">({escape(rating["error"])})</span>'
    full = int(rating["stars"])
    return f'<span class="stars {escape(rating["color"])}">{"★" * full}{"☆" * (5 - full)}</span>'


if __name__ == "__main__":
    serve(answer)
