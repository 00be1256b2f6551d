"""`python -m vae_tf.bulk encode --bundle DIR --input GLOB --output DIR`."""

import sys

from vae_tf.cli.bulk import main

if __name__ == "__main__":
    sys.exit(main())
