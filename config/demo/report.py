"""The end of the demo: what was counted, and where to look."""

from __future__ import annotations

from statistics import quantiles

from rich.console import Console
from rich.table import Table

from config.demo import cast, figures
from config.demo.story import Story
from config.demo.verify import Verification
from config.demo.view import routes_table


def report(story: Story, *, seconds: float) -> bool:
    """Verify every effect, print the result, and return whether nothing was lost or doubled."""
    console = Console(width=None if Console().is_terminal else 100)
    checks = list(Verification(story.ledger, story.fakes, story.cast.buyers[0]).checks())
    console.print(routes_table(figures.read()))
    table = Table("effect", title="Promised and found", expand=True)
    for column in ("expected", "lost", "doubled"):
        table.add_column(column, justify="right")
    for each in checks:
        style = "" if each.passed else "bold red"
        table.add_row(each.what, *map(str, (each.expected, each.lost, each.doubled)), style=style)
    console.print(table)
    passed = all(check.passed for check in checks)
    console.print(_verdict(story, passed, seconds), _places(story), sep="\n", soft_wrap=True)
    return passed


def _verdict(story: Story, passed: bool, seconds: float) -> str:
    ledger = story.ledger
    percentiles = quantiles(ledger.seconds, n=100)
    told = (
        f"{len(ledger.orders)} orders, {len(ledger.cancelled)} cancelled, "
        f"{sum(ledger.refused.values())} rolled back, in {seconds:.0f} s; "
        f"a purchase took {percentiles[49] * 1000:.0f} ms (p99 {percentiles[98] * 1000:.0f} ms)."
    )
    if passed:
        return f"[bold green]Nothing was lost and nothing was doubled.[/]\n{told}"
    return f"[bold red]Something was lost or doubled.[/]\n{told}"


def _places(story: Story) -> str:
    stack = story.stack
    return "\n".join(
        [
            "Where to look (`--keep` leaves it running):",
            f"  admin   {stack.web}/admin/   {cast.ADMIN} / {story.cast.password}",
            f"  API     {stack.web}/api/happenings",
            f"  Flower  {stack.flower}/   {stack.options.flower_auth}",
        ]
    )
