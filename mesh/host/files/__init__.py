"""What is stored: the document, its generations and keys, and what follows them in /etc."""
