"""How many stars each reader gave a book."""

from service import Answer, Request, as_json, serve

RATINGS = {"0": {"Reviewer1": 5, "Reviewer2": 4}}


def answer(request: Request) -> Answer:
    """The ratings of a book, by its number."""
    if request.path == "/health":
        return as_json({"status": "healthy"})
    number = request.path.rpartition("/")[2]
    if number not in RATINGS:
        return as_json({"error": "no such book"}, 404)
    return as_json({"id": number, "identities": request.identities, "ratings": RATINGS[number]})


if __name__ == "__main__":
    serve(answer)
