"""What TF Serving and its clients need beside the SavedModels."""
