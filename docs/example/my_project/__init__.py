"""A project's own network, augmentation, loss and optimizer."""
