"""What readers say of a book. Three versions: v1 without stars, v2 with black ones, v3 with red ones."""

import os

from service import Answer, Request, as_json, asked, serve

VERSION = os.environ.get("VERSION", "v1")
POD = os.environ.get("POD_NAME", "")
COLOURS = {"v2": "black", "v3": "red"}
TEXTS = {
    "Reviewer1": "An extremely entertaining play. The slapstick humour is refreshing!",
    "Reviewer2": "Absolutely fun and entertaining. It lacks thematic depth next to other plays by Shakespeare.",
}


def answer(request: Request) -> Answer:
    """The reviews of a book; with stars in the versions that have them, where ratings answers."""
    if request.path == "/health":
        return as_json({"status": "healthy"})
    number = request.path.rpartition("/")[2]
    reviews = [{"reviewer": reviewer, "text": text} for reviewer, text in TEXTS.items()]
    more = {}
    if VERSION in COLOURS:
        status, said = asked(f"http://ratings:9080/ratings/{number}", request)
        more = {"ratings": said.get("identities", {})}
        for review in reviews:
            stars = said.get("ratings", {}).get(review["reviewer"]) if status == 200 else None
            review["rating"] = (
                {"stars": stars, "color": COLOURS[VERSION]}
                if stars
                else {"error": "Ratings service is currently unavailable"}
            )
    own = {"id": number, "version": VERSION, "podname": POD, "identities": request.identities}
    return as_json({**own, **more, "reviews": reviews})


if __name__ == "__main__":
    serve(answer)
