"""data/report/report.html: what evaluate measured, as a page for people."""
