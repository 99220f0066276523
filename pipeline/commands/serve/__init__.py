"""`pipeline predict` and `pipeline export`: use a trained model."""
