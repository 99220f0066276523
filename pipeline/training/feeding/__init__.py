"""What reaches the network: drawn images, augmented or as features, in batches on the device that trains."""
