"""LiteRT files (`.tflite`): made in several precisions, judged, chosen among."""
