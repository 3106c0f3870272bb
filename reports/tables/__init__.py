"""Every table of the report, built once and printed as Markdown, CSV and LaTeX."""
