"""The store as a self-contained static site: pages, data and pictures that open from disk."""

from ganray.report.site.build import build_report

__all__ = ["build_report"]
