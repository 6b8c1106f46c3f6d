-- tidegate: no-transaction
-- Expand: an index, without blocking those who write. A run that failed leaves an invalid one, which IF NOT EXISTS
-- would take for the one that is wanted.
DROP INDEX CONCURRENTLY IF EXISTS orders_customer;
CREATE INDEX CONCURRENTLY orders_customer ON orders (customer);
