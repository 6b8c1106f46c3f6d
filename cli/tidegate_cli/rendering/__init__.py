"""How documents and progress look to a person. Nothing here asks AWS for anything."""
