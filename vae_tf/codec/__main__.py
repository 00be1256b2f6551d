"""`python -m vae_tf.codec compress|decompress`: see docs/compression.md."""

import sys

from vae_tf.cli.codec import main

if __name__ == "__main__":
    sys.exit(main())
