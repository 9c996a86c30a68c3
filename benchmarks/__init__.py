"""Side by side with rivals: one file a question, each run by python -m benchmarks.<name> [--quick] [--save]."""
