"""What is in the lake: names, landed files, pointers, versions."""
