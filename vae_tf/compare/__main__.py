"""`python -m vae_tf.compare --dataset ...`."""

import sys

from vae_tf.cli.compare import main

if __name__ == "__main__":
    sys.exit(main())
