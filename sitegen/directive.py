"""The directive `from-code`: a page names a table, and it stands there as the code has it when the site is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sphinx.util.docutils import SphinxDirective

from sitegen import commands, errors, interface, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docutils import nodes
    from sphinx.application import Sphinx

SOURCES: Mapping[str, Callable[[], str]] = {
    "parameters": tables.parameters,
    "values": tables.values,
    "variables": tables.variables,
    "commands": commands.commands,
    "routes": interface.routes,
    "schemas": interface.schemas,
    "metrics": interface.metrics,
    "exceptions": errors.exceptions,
}
"""What a page can ask for."""


class FromCode(SphinxDirective):
    """A table or a list made from the code."""

    required_arguments = 1
    has_content = False
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Give what was asked for, as if it stood in the page."""
        name = self.arguments[0]
        if name not in SOURCES:
            raise self.error(f"from-code: expected one of {', '.join(SOURCES)}")
        return self.parse_text_to_nodes(SOURCES[name](), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known to Sphinx."""
    app.add_directive("from-code", FromCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
