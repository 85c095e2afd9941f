"""Stack files as files: checked without engine, token or state, with line and column of each mistake."""
