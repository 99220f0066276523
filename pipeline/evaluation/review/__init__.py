"""Images to review: contradicted labels, outliers, and drift between new and known images."""
