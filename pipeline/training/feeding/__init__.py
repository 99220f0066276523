"""Data loading: drawn images, augmented or as features, in batches on the training device."""
