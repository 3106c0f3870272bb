"""What people read: tables, figures and one page, made from result files and collected runs. Never a model."""
