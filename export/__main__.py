"""`python -m export RUN --output DIR [--version N]`: see README.md beside this file."""

import sys

from vae_tf.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
