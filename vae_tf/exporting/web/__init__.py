"""The explorer: a static page that runs encoder and decoder in the browser."""
