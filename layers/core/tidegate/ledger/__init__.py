"""What Tidegate remembers: the items of the one table and the only ways they change, over the port Store."""
