"""GANRay: which GAN recipe works on a few hundred images, and can the number be trusted?"""

__version__ = "0.1.0"
