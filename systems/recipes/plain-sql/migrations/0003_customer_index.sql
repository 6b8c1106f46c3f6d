-- tidegate: no-transaction
-- Expand: an index, without blocking those who write. Without a transaction there is nothing to undo if it fails: Tidegate
-- removes the invalid index that is left then, and goes on with this statement the next time.
CREATE INDEX CONCURRENTLY orders_customer ON orders (customer);
