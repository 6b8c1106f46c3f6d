"""Pure rules: no AWS, no files, no clock. Standard library and pydantic only."""
