"""Networks, their checkpoints and the device that they run on."""
