"""data/report/report.html: the results of evaluate as a web page."""
