"""JSON objects from a peer that is not trusted."""

from __future__ import annotations

import json


def parse_object(text: bytes) -> dict[str, object]:
    """Parse ``text`` as one JSON object.

    Args:
        text: UTF-8 from the network. The caller has bounded its length.

    Returns:
        The members. Of a name given twice the last value counts, as in v1.

    Raises:
        ValueError: ``text`` is not UTF-8, not JSON, not an object, or nested deeper than the interpreter can follow.
    """
    try:
        # Decoded here because json.loads guesses UTF-16 and UTF-32 when it is given bytes.
        value: object = json.loads(text.decode("utf-8"))
    except RecursionError as error:
        message = "JSON nested too deep"
        raise ValueError(message) from error
    if isinstance(value, dict):
        return value
    message = "not a JSON object"
    raise ValueError(message)
