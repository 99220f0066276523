"""`pipeline predict` and `export`: a trained model in use."""
