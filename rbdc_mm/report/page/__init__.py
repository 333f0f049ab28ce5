"""One self-contained HTML page of all runs: plots, tables, and where every number comes from."""

from rbdc_mm.report.page.build import write_page

__all__ = ["write_page"]
