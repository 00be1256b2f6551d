"""What runs SavedModels: TensorFlow's Python loader, and its C++ loader in a process of its own."""
