"""What is made from the code: one module per kind of file."""
