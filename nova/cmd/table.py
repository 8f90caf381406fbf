# SPDX-License-Identifier: Apache-2.0
"""Tables on stdout."""

from __future__ import annotations


def show(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table; one whose titles are all empty has no head."""
    import rich.box
    import rich.console
    import rich.table
    import rich.text
    table = rich.table.Table(box=rich.box.ASCII, show_header=any(head))
    for title in head:
        table.add_column(title, overflow='fold')
    for row in rows:
        table.add_row(*(rich.text.Text(cell) for cell in row))
    console = rich.console.Console()
    if not console.is_terminal:
        # A pipe has no width: nothing is folded for one.
        console.width = 1000
    console.print(table)
