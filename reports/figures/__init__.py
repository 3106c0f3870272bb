"""Every figure of the report, in one style."""
