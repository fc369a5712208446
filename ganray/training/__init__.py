"""The GAN step, the loop, checkpoints and health: plain torch, on one process or under torchrun."""
