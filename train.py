"""Trains a VAE on images; `python train.py --help` lists the flags."""

import sys

from vae_tf.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
