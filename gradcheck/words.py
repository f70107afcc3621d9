"""A sentence for each cause, for the author of the layer."""

SENTENCES = {
    "unexplained": "the gradient is wrong, and nothing that is known explains how",
}


def sentence(cause: str) -> str:
    """What a cause means, in words."""
    return SENTENCES.get(cause, cause)
