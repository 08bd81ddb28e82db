"""What is known of a book."""

from service import Answer, Request, as_json, serve

BOOKS = {
    "0": {
        "title": "The Comedy of Errors",
        "author": "William Shakespeare",
        "year": 1595,
        "type": "paperback",
        "pages": 200,
        "publisher": "Publisher A",
        "language": "English",
    }
}


def answer(request: Request) -> Answer:
    """A book by its number."""
    if request.path == "/health":
        return as_json({"status": "healthy"})
    number = request.path.rpartition("/")[2]
    if number not in BOOKS:
        return as_json({"error": "no such book"}, 404)
    return as_json({"id": number, "identities": request.identities, **BOOKS[number]})


if __name__ == "__main__":
    serve(answer)
