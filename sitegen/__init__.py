"""What the documentation site takes from the code when it is built, so that no table in it can be wrong.

::

    tables.py      the URL's parameters and the NP_* variables
    commands.py    the commands, in the words of their help
    interface.py   the REST API, from its OpenAPI document, and the metrics
    errors.py      the exceptions, and which is a kind of which
    directive.py   the directive by which a page asks for one of these

The site itself is `docs`: Sphinx reads Markdown there (`python -m nox -s docs`).
"""
